"""Options that choose a part of a recording: the topic and the clock of a bag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from vljepa_edge.errors import InputError, redacted

if TYPE_CHECKING:
    from vljepa_edge.video.ros.stamps import Clock
    from vljepa_edge.video.source import SourceLike

Topic = Annotated[
    str | None,
    typer.Option("--topic", metavar="NAME", help="Of a bag: the images to look at.", show_default="the only ones"),
]
ClockName = Annotated[
    str | None,
    typer.Option(
        "--clock",
        metavar="CLOCK",
        help="Of a bag: header (when the camera took a picture) or log (when it was recorded).",
        show_default="header",
    ),
]


def read_source(source: str, topic: str | None, clock: str | None) -> SourceLike:
    """What SOURCE and these options name together. Raises InputError for options that are not of such a source."""
    from vljepa_edge.video.ros.bag import Bag, is_bag
    from vljepa_edge.video.source import file_path, is_live

    given = {"--topic": topic, "--clock": clock}
    if all(value is None for value in given.values()):
        return source
    if is_live(source) or not is_bag(file_path(source)):
        named = " and ".join(name for name, value in given.items() if value is not None)
        raise InputError(f"{named} must stand beside a bag (a folder, .mcap, .db3 or .bag), got {redacted(source)}")
    return Bag(file_path(source), topic, cast("Clock", clock or "header"))
