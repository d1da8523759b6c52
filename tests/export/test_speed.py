"""INT8 against 16 bits: interleaved, so that a machine that slows down makes no ratio that is not there."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from vljepa_edge.export.int8 import speed


class Machine:
    """A clock that only calls move, and that each call makes a little slower."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slower: float = 1.0) -> None:
        self.now, self.slow, self.slower = 0.0, 1.0, slower
        self.order: list[str] = []
        monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=lambda: self.now))

    def call(self, name: str, seconds: float) -> None:
        self.order.append(name)
        self.now += seconds * self.slow
        self.slow *= self.slower


def test_a_machine_that_slows_down_changes_no_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, slower=1.05)
    found = speed.compare(lambda: machine.call("16", 0.03), lambda: machine.call("8", 0.01), seconds=5)
    assert found.times == pytest.approx(3, rel=0.06)
    assert found.ms_16 > 2 * found.ms_8 > 0
    counted = machine.order[2:]  # not the first call of each
    rounds = list(zip(counted[::2], counted[1::2], strict=True))
    assert len(rounds) >= 5 and set(rounds) == {("16", "8"), ("8", "16")}


@pytest.mark.parametrize(("seconds", "rounds"), [(10.0, 5), (0.1, 5), (1e-6, 200)])
def test_slow_calls_get_five_rounds_and_quick_ones_come_to_an_end(
    seconds: float, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch)
    speed.compare(lambda: machine.call("16", seconds), lambda: machine.call("8", seconds), seconds=0.5)
    assert machine.order.count("16") == rounds + 1
