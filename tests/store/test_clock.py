"""The time by which a store forgets, on a clock that is set and one that is not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.serve.cameras import until
from tests.store.events import pair
from vljepa_edge.model import Model
from vljepa_edge.store import clock
from vljepa_edge.store.clock import LASTS, LEAP, LastingClock
from vljepa_edge.store.keep import Keep
from vljepa_edge.store.store import EventStore

TRUE = 1_796_000_000.0
DAY = 86400.0


class Machine:
    """A clock that somebody sets: `off` seconds ahead of the truth, `passed` seconds after the start."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.passed = self.off = 0.0
        patched.setattr(time, "time", lambda: TRUE + self.passed + self.off)
        patched.setattr(clock, "_steady", lambda: 77.0 + self.passed)

    def ahead(self, look: LastingClock, passed: float = 60.0) -> float:
        """What the store's time is ahead of the truth, so many seconds later."""
        self.passed += passed
        return look.now() - TRUE - self.passed


def test_a_time_that_was_leapt_to_is_believed_when_it_has_lasted_for_an_hour(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(monkeypatch)
    look = LastingClock(None)
    assert machine.ahead(look) == 0.0
    machine.off = 10 * DAY
    assert [machine.ahead(look) for _ in range(60)] == pytest.approx([0.0] * 60, abs=1e-6)
    assert machine.ahead(look) == pytest.approx(10 * DAY)
    assert len(caplog.records) == 1 and "leapt ahead by 864000 s" in caplog.text
    machine.off = 0.0  # back at once
    assert machine.ahead(look) == pytest.approx(0.0, abs=1e-6)


def test_an_hour_begins_again_with_every_leap_and_small_steps_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    look = LastingClock(None)
    machine.off = DAY
    machine.ahead(look), machine.ahead(look, LASTS - 1.0)
    machine.off = 3 * DAY
    assert machine.ahead(look, 2.0) == pytest.approx(0.0, abs=1e-6)
    machine.off = 0.0
    assert machine.ahead(look) == pytest.approx(0.0, abs=1e-6)
    for step in range(1, 20):
        machine.off = 0.9 * LEAP * step
        assert machine.ahead(look) == pytest.approx(machine.off)


def test_a_process_begins_at_the_last_time_known(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(monkeypatch)
    look = LastingClock(TRUE - 5 * DAY)
    assert machine.ahead(look) == pytest.approx(-5 * DAY)
    assert machine.ahead(look, LASTS) == pytest.approx(0.0, abs=1e-6) and not caplog.records
    assert machine.ahead(LastingClock(TRUE + 5 * DAY)) == pytest.approx(0.0, abs=1e-6)  # told while it had leapt ahead


@given(st.lists(st.tuples(st.floats(1.0, LASTS / 2), st.floats(-1e9, 1e9)), max_size=30))
def test_no_leap_of_less_than_an_hour_makes_anything_older(leaps: list[tuple[float, float]]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        machine = Machine(patched)
        look = LastingClock(None)
        for seconds, off in leaps:
            machine.off = off
            assert machine.ahead(look, 1.0) <= LEAP + 1e-3
            assert machine.ahead(look, seconds) <= LEAP + 1e-3
            machine.off = 0.0
            assert machine.ahead(look, 1.0) <= 1e-3


def test_a_store_outlives_a_clock_that_leaps_ahead_also_at_a_start(
    model: Model, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch)
    store = EventStore(str(tmp_path), model, Keep(7 * DAY))
    for number in range(1, 21, 2):
        for entry in pair(number, 1.0, 2.0, at=TRUE):
            store.put(entry)
    until(lambda: store._next_forget > 0 and len(store.reader.events()) == 20)
    machine.off = 10 * DAY
    store._next_forget = 0.0
    store.put(pair(21, 1.0, 2.0, at=TRUE)[0])
    until(lambda: store._next_forget > 0)
    store.close()
    assert len(store.reader.events()) == 21
    again = EventStore(str(tmp_path), model, Keep(7 * DAY))
    until(lambda: again._next_forget > 0)
    assert len(again.reader.events()) == 22  # what was open is closed
    machine.passed = LASTS
    again._next_forget = 0.0
    again.put(pair(23, 1.0, 2.0, at=TRUE + 10 * DAY)[0])
    until(lambda: [found["id"] for found in again.reader.events()] == [23])
    again.close()
