"""What the motion gate saves of a stream: of runs of graphs and of processor time."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vljepa_edge.evaluation.selective import gate
from vljepa_edge.evaluation.selective.annotations import Annotation
from vljepa_edge.evaluation.selective.gate import gate_saves
from vljepa_edge.evaluation.selective.measure import Groups, measure
from vljepa_edge.evaluation.selective.report import lines
from vljepa_edge.evaluation.selective.streams import Frames, Stream
from vljepa_edge.model import Model
from vljepa_edge.perception.window_encoder import WindowEncoder


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))


def stream(scenes: int = 6) -> Stream:
    """Scenes of 12 frames, 3 seconds each, with noise of up to 9 levels: blocks of 64 pixels hardly move."""
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(0, 255, (scenes, 1, 1, 3)), 12, 0) + rng.integers(0, 9, (12 * scenes, 32, 32, 3))
    shown = [(frame.clip(0, 255).astype(np.uint8), k / 4) for k, frame in enumerate(frames)]
    said = tuple(Annotation(3.0 * k + 1, f"a ball moves {k}") for k in range(scenes))
    return Stream("toy", {"gate": scenes}, said, (), lambda open: iter(shown))


def test_it_saves_nothing_where_every_frame_differs(model: Model) -> None:
    assert gate_saves(model, stream(), still=0.001).graph_runs == 0
    assert gate_saves(model, stream(), still=4.0).graph_runs > 0.3


class Counter:
    """A rail: each push takes a joule."""

    name = "package-0"

    def __init__(self) -> None:
        self.pushes = self._told = 0

    def joules(self, seconds: float) -> float:
        used, self._told = self.pushes - self._told, self.pushes
        return float(used)


def test_energy_is_told_of_where_it_can_be_read(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    rail, push = Counter(), WindowEncoder.push

    def metered(encoder: WindowEncoder, frame: NDArray[np.uint8], time: float) -> None:
        runs = encoder.runs
        push(encoder, frame, time)
        rail.pushes += encoder.runs - runs

    def read() -> Frames:
        for seen in stream().frames(model.open):
            rail.pushes += 1000  # which is no part of embedding
            yield seen

    monkeypatch.setattr(WindowEncoder, "push", metered)
    monkeypatch.setattr(gate, "find_rails", lambda: ([rail], ""))
    found = gate_saves(model, Stream("read", {}, (), (), lambda open: read()), still=4.0).energy
    assert found == {"package-0": 1 - 6 / 72}  # six scenes, of which a frame each is encoded


def test_where_no_energy_can_be_read_it_is_said_why(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "find_rails", lambda: ([], "RAPL can be read by root only"))
    figures = measure(model, Groups((), {("toy", "low"): (stream(),)}), still=4.0)
    told = "Of the energy that the machine takes meanwhile it saves"
    assert f"{told}: RAPL can be read by root only." in list(lines(figures))
    figures["gate_saves"]["energy"] = {"package-0": 0.25}
    assert f"{told}: package-0 25.0%." in list(lines(figures))


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
