"""Options that choose a part of a recording: the topic and the clock of a bag, an episode and a camera of LeRobot's."""

from __future__ import annotations

from pathlib import Path
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
EpisodeNumber = Annotated[
    int | None, typer.Option("--episode", min=0, metavar="N", help="Of a LeRobot data set, from 0.")
]
Camera = Annotated[
    str | None,
    typer.Option(
        "--camera",
        metavar="NAME",
        help="Of a LeRobot data set, as observation.images.top.",
        show_default="the only one",
    ),
]


def read_source(
    source: str, topic: str | None, clock: str | None, episode: int | None = None, camera: str | None = None
) -> SourceLike:
    """What SOURCE and these options name together. Raises InputError for options that are not of such a source, and for
    a data set without an episode."""
    from vljepa_edge.video.inputs import file_path, is_live
    from vljepa_edge.video.lerobot import INFO, Episode
    from vljepa_edge.video.ros.bag import Bag, is_bag

    path = "" if is_live(source) else file_path(source)
    of_bag, of_dataset = {"--topic": topic, "--clock": clock}, {"--episode": episode, "--camera": camera}
    if path and Path(path, INFO).is_file():
        _refuse(of_bag, "a bag (a folder, .mcap, .db3 or .bag)", source)
        if episode is None:
            raise InputError(f"{redacted(source)} is a LeRobot data set; choose one with --episode, from 0")
        return Episode(path, episode, camera)
    _refuse(of_dataset, f"a LeRobot data set (a folder with {INFO})", source)
    if path and is_bag(path):
        return Bag(path, topic, cast("Clock", clock or "header"))
    _refuse(of_bag, "a bag (a folder, .mcap, .db3 or .bag)", source)
    return source


def _refuse(options: dict[str, str | None] | dict[str, int | str | None], kind: str, source: str) -> None:
    """Raises InputError where one of these is given."""
    named = " and ".join(name for name, value in options.items() if value is not None)
    if named:
        raise InputError(f"{named} must stand beside {kind}, got {redacted(source)}")
