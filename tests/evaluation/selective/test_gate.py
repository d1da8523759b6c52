"""What the motion gate saves of a stream: of runs of graphs and of processor time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from vljepa_edge.evaluation.selective import gate
from vljepa_edge.evaluation.selective.gate import gate_saves
from vljepa_edge.evaluation.selective.streams import Stream
from vljepa_edge.model import Model
from vljepa_edge.perception.window_encoder import WindowEncoder


def stream(scenes: int = 6) -> Stream:
    """Scenes of 12 frames, 3 seconds each, with noise of up to 9 levels: blocks of 64 pixels hardly move."""
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(0, 255, (scenes, 1, 1, 3)), 12, 0) + rng.integers(0, 9, (12 * scenes, 32, 32, 3))
    shown = [(frame.clip(0, 255).astype(np.uint8), k / 4) for k, frame in enumerate(frames)]
    return Stream("toy", {}, (), (), lambda open: iter(shown))


def test_it_saves_nothing_where_every_frame_differs(model: Model) -> None:
    assert gate_saves(model, stream(), still=0.001).graph_runs == 0
    assert gate_saves(model, stream(), still=4.0).graph_runs > 0.3


def test_neither_first_calls_nor_who_is_first_are_taken_for_what_it_saves(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = itertools.chain([100], itertools.cycle([1, 6]))  # of the first call of all, then of each second one
    now = 0.0
    push = WindowEncoder.push

    def counted(encoder: WindowEncoder, frame: NDArray[np.uint8], time: float) -> None:
        nonlocal now
        now += next(costs)
        push(encoder, frame, time)

    monkeypatch.setattr(WindowEncoder, "push", counted)
    monkeypatch.setattr(gate, "process_time", lambda: now)
    assert gate_saves(model, stream(scenes=2), still=0.001).processor_time == 0
