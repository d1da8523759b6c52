"""A user's own videos: those that can be read, with those of their annotations that lie within them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.evaluation.selective.embedded import embed
from vljepa_edge.evaluation.selective.measure import Groups
from vljepa_edge.evaluation.selective.streams import Stream

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception


def recordings(model: Perception, streams: Sequence[Stream], say: Callable[[str], None]) -> Groups:
    """The streams that can be measured, with nothing to tune on. What `embed` can't read is left out and named in
    `unread`, and annotations after a video's end are left out. say: told of both.

    Raises InputError where nothing is left, EngineError where a graph fails.
    """
    kept: list[Stream] = []
    unread: list[str] = []
    for stream in streams:
        try:
            end = embed(model, stream).end
        except VideoError as error:
            say(f"warning: {error}; it is left out")
            unread.append(stream.name)
            continue
        within = tuple(one for one in stream.annotations if one.time <= end)
        if late := len(stream.annotations) - len(within):
            of = f"{late} of {len(stream.annotations)} annotations are left out"
            say(f"warning: {stream.name}: {of}: they come after its end, at {end:.2f} s")
        if within:
            kept.append(replace(stream, annotations=within))
    if not kept:
        raise InputError(f"a video must be readable and have annotations within it, got none of {len(streams)}")
    return Groups((), {("recordings", "as recorded"): tuple(kept)}, tuple(unread))
