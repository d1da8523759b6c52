"""What the motion gate saves: a stream with it beside the same one without."""

from __future__ import annotations

from itertools import takewhile
from time import process_time
from typing import TYPE_CHECKING, NamedTuple

from vljepa_edge.evaluation.selective.embedded import open_encoder

if TYPE_CHECKING:
    from vljepa_edge.evaluation.selective.streams import Stream
    from vljepa_edge.perception.perception import Perception

_MINUTE = 60.0  # seconds


class GateSaves(NamedTuple):
    """Shares, 0 to 1, of what embedding costs without the motion gate."""

    graph_runs: float
    processor_time: float


def gate_saves(model: Perception, stream: Stream, still: float) -> GateSaves:
    """What the motion gate saves of the first minute of a stream; with it and without it see each frame, in turns the
    one or the other first. What the first calls of graphs cost is left out.

    Raises what `embed` raises.
    """
    asked = model.text.query(model.manifest.text.default_query)
    hop = model.manifest.video.hop
    frames = list(takewhile(lambda seen: seen[1] < _MINUTE, stream.frames(model.open)))  # read ahead: none is timed
    levels = (0.0, still)
    for warm in (open_encoder(model, level) for level in levels):
        warm.push(model.vision.prepare(frames[0][0]), frames[0][1])
        warm.embed(asked)
    encoders = [open_encoder(model, level) for level in levels]
    spent = [0.0, 0.0]
    for number, (frame, time) in enumerate(frames):
        for place in (0, 1) if number // hop % 2 else (1, 0):
            begun = process_time()
            encoders[place].push(model.vision.prepare(frame), time)
            if number % hop == 0:
                encoders[place].embed(asked)
            spent[place] += process_time() - begun
    return GateSaves(1 - encoders[1].runs / encoders[0].runs, 1 - spent[1] / spent[0])
