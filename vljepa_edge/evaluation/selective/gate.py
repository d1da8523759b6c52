"""What the motion gate saves: a stream with it beside the same one without."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from statistics import mean
from time import process_time
from typing import TYPE_CHECKING, Any, NamedTuple

from vljepa_edge.evaluation.selective.embedded import open_encoder
from vljepa_edge.support.power import EnergyMeter, find_rails, saved

if TYPE_CHECKING:
    from vljepa_edge.evaluation.selective.streams import Stream
    from vljepa_edge.perception.perception import Perception

_MINUTE = 60.0  # seconds


class GateSaves(NamedTuple):
    """Shares, 0 to 1, of what embedding costs without the motion gate. energy: of the machine while it embeds, by the
    rail that can be read."""

    graph_runs: float
    processor_time: float
    energy: dict[str, float]


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
    meter = EnergyMeter(find_rails()[0])
    energy: list[dict[str, float]] = [{}, {}]
    for number, (frame, time) in enumerate(frames):
        for place in (0, 1) if number // hop % 2 else (1, 0):
            meter.joules()  # of what lay between
            begun = process_time()
            encoders[place].push(model.vision.prepare(frame), time)
            if number % hop == 0:
                encoders[place].embed(asked)
            spent[place] += process_time() - begun
            energy[place] = {name: energy[place].get(name, 0.0) + used for name, used in meter.joules().items()}
    runs = [encoder.runs for encoder in encoders]
    return GateSaves(1 - runs[1] / runs[0], 1 - spent[1] / spent[0], saved(energy[1], energy[0]))


def mean_saves(model: Perception, streams: Sequence[Stream], still: float) -> dict[str, Any]:
    """The mean of what it saves of each stream, ready for JSON. energy_unread: why rails can't be read, "" where there
    are no others. Raises what `embed` raises."""
    found = [gate_saves(model, stream, still) for stream in streams]
    rails = [name for name in found[0].energy if all(name in one.energy for one in found)]
    return {
        "graph_runs": mean(one.graph_runs for one in found),
        "processor_time": mean(one.processor_time for one in found),
        "energy": {name: mean(one.energy[name] for one in found) for name in rails},
        "energy_unread": find_rails()[1],
    }
