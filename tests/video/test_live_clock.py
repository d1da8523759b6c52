"""Clocks of real cameras, and what time is made of them: no bad stamp moves it, and no frame is lost to one."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vljepa_edge.video.frame import SourceStats
from vljepa_edge.video.live_clock import LiveClock

FPS, COUNT = 30, 600
TRUTH = [index / FPS for index in range(COUNT)]


def placed(
    stamps: list[float | None], arrivals: list[float] | None = None, restarts: tuple[int, ...] = ()
) -> tuple[list[float], int]:
    """The times made of stamps, and how many stamps were counted as bad. Frames arrive as they are made by default."""
    stats = SourceStats()
    clock = LiveClock(stats, 1 / FPS)
    times = []
    for index, (stamp, arrived) in enumerate(zip(stamps, TRUTH if arrivals is None else arrivals, strict=True)):
        if index in restarts:
            clock.restart()
        times.append(clock.place(stamp, 1000 + arrived))
    assert times[0] >= 0 and all(a < b for a, b in pairwise(times))
    return times, stats.bad_timestamps


def changed(change: Callable[[int, float], float | None]) -> list[float | None]:
    """The stamps of an honest camera with an origin of its own, each put through `change`."""
    return [change(index, 325.2 + time) for index, time in enumerate(TRUTH)]


def is_burst(index: int) -> bool:
    return 25 <= index < 65 or 100 <= index < 140


LIES: dict[str, tuple[Callable[[int, float], float | None], int]] = {
    "honest": (lambda i, s: s, 0),
    "bursts of 0": (lambda i, s: 0.0 if is_burst(i) else s, 80),
    "one frame hours ahead": (lambda i, s: s + 37600 * (i == 60), 1),
    "one frame hours back": (lambda i, s: s - 9800 * (i == 60), 1),
    "every 50th frame hours ahead": (lambda i, s: s + 37600 * (i % 50 == 49), 12),
    "every 50th frame hours back": (lambda i, s: s - 9800 * (i % 50 == 49), 12),
    "one frame wrapped": (lambda i, s: s + 2**33 / 90000 * (i == 60), 1),
    "one frame ahead by seconds": (lambda i, s: s + 3 * (i == 60), 1),
    "wrapped for good": (lambda i, s: s - 2**32 / 90000 * (i >= 90), 1),
    "unwrapped for good": (lambda i, s: s + 2**32 / 90000 * (i >= 90), 1),
    "back by 0.845 s for good": (lambda i, s: s - 0.845 * (i >= 90), 1),
    "ahead by 0.845 s for good": (lambda i, s: s + 0.845 * (i >= 90), 1),
    "an hour ahead for good": (lambda i, s: s + 3600 * (i >= 90), 1),
    "an hour back for good": (lambda i, s: s - 3600 * (i >= 90), 1),
    "wall-clock seconds": (lambda i, s: 1.7e9 + s, 0),
    "wall-clock seconds from the middle on": (lambda i, s: s + 1.7e9 * (i >= 90), 1),
    "two corrections": (lambda i, s: s + 50 * (i >= 90) - 5000 * (i >= 300), 2),
    "missing": (lambda i, s: None if i % 7 == 3 else s, 86),
    "not finite": (lambda i, s: math.nan if i % 100 == 3 else math.inf if i % 100 == 4 else s, 12),
    "each twice": (lambda i, s: 325.2 + TRUTH[i - i % 2], 300),
    "a stopped clock": (lambda i, s: 325.2, COUNT - 1),
    "never a stamp": (lambda i, s: None, 0),
    "milliseconds taken for seconds": (lambda i, s: 1000 * s, COUNT - 1),
    "1 % fast": (lambda i, s: 1.01 * s, 0),
    "1 % slow": (lambda i, s: 0.99 * s, 0),
    "a clock of 90/89 speed": (lambda i, s: s * 90 / 89, 0),
    "shown out of order": (lambda i, s: 325.2 + TRUTH[min(i + (0, 2, -1, -1)[i % 4], COUNT - 1)], 300),
}


@pytest.mark.parametrize("lie", LIES)
def test_time_goes_on_as_on_the_clock_whatever_the_stamps_say(lie: str) -> None:
    change, bad = LIES[lie]
    times, counted = placed(changed(change))
    assert len(times) == COUNT
    assert max(abs(time - truth) for time, truth in zip(times, TRUTH, strict=True)) < 0.2
    assert counted == pytest.approx(bad, abs=2)


@pytest.mark.parametrize("jitter", [0.003, 0.1])
@pytest.mark.parametrize("lie", ["honest", "every 50th frame hours back", "back by 0.845 s for good", "1 % fast"])
def test_frames_that_arrive_with_jitter_keep_the_spacing_of_their_stamps(lie: str, jitter: float) -> None:
    draw = random.Random(0)
    arrivals = sorted(time + draw.uniform(0, jitter) for time in TRUTH)
    times, counted = placed(changed(LIES[lie][0]), arrivals)
    assert max(abs(time - truth) for time, truth in zip(times, TRUTH, strict=True)) < 0.25
    assert counted <= LIES[lie][1] + 2
    if lie == "honest":
        assert max(abs(b - a - 1 / FPS) for a, b in pairwise(times)) < 0.03 * jitter + 0.001


@pytest.mark.parametrize("jitter", [0.003, 0.1])
def test_stamps_with_jitter_are_kept_in_order(jitter: float) -> None:
    draw = random.Random(1)
    times, _ = placed(changed(lambda i, s: s + draw.uniform(-jitter, jitter)))
    assert max(abs(time - truth) for time, truth in zip(times, TRUTH, strict=True)) < 2 * jitter + 0.1


def test_a_first_frame_without_a_stamp_comes_an_interval_before_the_second() -> None:
    clock = LiveClock(SourceStats(), 0.05)
    assert [clock.place(stamp, 7.0) for stamp in (None, 80.0, 80.05)] == pytest.approx([0, 0.05, 0.1])


def test_a_pause_of_the_camera_stays_a_pause() -> None:
    truth = [time + 40 * (time > 8) for time in TRUTH]
    times, counted = placed([7.5 + time for time in truth], truth)
    assert times == pytest.approx(truth, abs=0.01) and counted == 0


def test_a_pause_in_which_the_stamps_stand_still_is_in_the_times_after_some_seconds() -> None:
    truth = [time + 40 * (time > 8) for time in TRUTH]
    times, _ = placed([7.5 + time for time in TRUTH], truth)
    assert times[-1] == pytest.approx(truth[-1], abs=1)


@pytest.mark.parametrize("held", [0.5, 3.0, 60.0])
def test_frames_that_a_network_held_back_keep_their_times(held: float) -> None:
    """From 8 s on nothing arrives for `held` seconds, then what was held back at once."""
    truth = [index / FPS for index in range(round((16 + held) * FPS))]
    arrivals = [time if time < 8 else max(time, 8 + held) for time in truth]
    stats = SourceStats()
    clock = LiveClock(stats, 1 / FPS)
    times = [clock.place(3 + time, arrived) for time, arrived in zip(truth, arrivals, strict=True)]
    assert times == pytest.approx(truth, abs=0.1 + 0.03 * held)
    assert stats.bad_timestamps == 0


def test_frames_that_a_server_had_buffered_come_at_once_and_keep_their_times() -> None:
    arrivals = [max(0.0, time - 3) for time in TRUTH]
    times, counted = placed([50 + time for time in TRUTH], arrivals)
    assert counted == 0
    assert max(abs(b - a - 1 / FPS) for a, b in pairwise(times)) < 0.002


def test_a_source_that_was_connected_again_goes_on_as_on_the_clock() -> None:
    arrivals = [time + 30 * (index >= 300) for index, time in enumerate(TRUTH)]
    stamps = [time if index < 300 else 4e6 + time for index, time in enumerate(TRUTH)]
    times, counted = placed(stamps, arrivals, restarts=(300,))  # type: ignore[arg-type]
    assert times == pytest.approx(arrivals, abs=0.01) and counted == 0


@pytest.mark.parametrize("speed", [0.0, 0.001, 0.5, 2.0, 1000.0])
def test_a_clock_of_any_speed_stays_within_seconds_of_the_truth(speed: float) -> None:
    times, _ = placed(changed(lambda i, s: speed * s))
    assert max(abs(time - truth) for time, truth in zip(times, TRUTH, strict=True)) <= 10.5


@given(
    st.lists(
        st.tuples(st.none() | st.floats() | st.floats(0, 20), st.floats(0, 2)),
        min_size=1,
        max_size=60,
    )
)
def test_times_always_rise_and_stay_near_arrivals(frames: list[tuple[float | None, float]]) -> None:
    stats, arrived = SourceStats(), 0.0
    clock, last = LiveClock(stats, 1 / FPS), -1.0
    for stamp, since in frames:
        arrived += since
        time = clock.place(stamp, arrived)
        assert time > last and time - (arrived - frames[0][1]) <= 10.0 + 1e-3 * len(frames)
        last = time
    assert stats.bad_timestamps <= len(frames)


@given(st.sets(st.integers(1, 199), max_size=40), st.floats(allow_nan=True, allow_infinity=True))
def test_wild_stamps_leave_the_honest_ones_where_they_were(wild: set[int], value: float) -> None:
    """Whatever single value a camera sends now and then, at least a second off."""
    honest = [325.2 + time for time in TRUTH[:200]]
    stamps = [value if i in wild and not abs(value - s) < 1 else s for i, s in enumerate(honest)]
    times, _ = placed(stamps, TRUTH[:200])  # type: ignore[arg-type]
    assert max(abs(time - truth) for time, truth in zip(times, TRUTH, strict=False)) < 0.1
