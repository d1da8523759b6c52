"""What a camera costs that looks at a still scene: the benchmark tells frames, processor time and energy."""

from __future__ import annotations

import pytest

from benchmarks import still
from vljepa_edge.model import Model


class Steady:
    """A rail that gives a watt."""

    name = "package-0"

    def joules(self, seconds: float) -> float:
        return seconds


def test_the_gate_s_energy_is_told_beside_its_processor_time(
    model: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(still, "find_rails", lambda: ([Steady()], ""))
    monkeypatch.setattr("vljepa_edge.load", lambda threads: model)
    monkeypatch.setattr("sys.argv", ["still", "--seconds", "4"])
    still.main()
    out = capsys.readouterr().out
    assert "still=0: 16 frames (0 still)" in out and "still=3: 16 frames (" in out
    assert "of the processor time of streaming" in out
    assert "saved of the energy that the machine takes meanwhile: package-0 " in out
    monkeypatch.setattr(still, "find_rails", lambda: ([], "RAPL can be read by root only"))
    still.main()
    assert "meanwhile: RAPL can be read by root only" in capsys.readouterr().out


def test_neither_first_calls_nor_who_is_first_are_taken_for_what_it_saves(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = {number: 100.0 if number == 1 else 6.0 if number % 2 else 1.0 for number in range(1000)}
    calls, now, push = 0, 0.0, type(model.open_stream()).push

    def counted(*given: object, **named: object) -> object:
        nonlocal calls, now
        calls += 1
        now += costs[calls]
        return push(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(type(model.open_stream()), "push", counted)
    monkeypatch.setattr("time.process_time", lambda: now)
    without, gated = still.compare(model, still.noisy(4, 5.0), 3.0)
    assert without.seconds == gated.seconds > 0
