"""Stamps to rising seconds, and seconds to the model's frame rate."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vljepa_edge._core import Grid
from vljepa_edge.video.decoder import Decoder
from vljepa_edge.video.frame import Picture, SourceStats
from vljepa_edge.video.recorded import decoded
from vljepa_edge.video.timing import StampGuess, Timeline, without_wild


def placed(stamps: list[float | None], interval: float = 0.1, origin: float | None = None) -> tuple[list[float], int]:
    """The times given to `stamps`, those skipped left out, and how many were counted as bad."""
    stats = SourceStats()
    timeline = Timeline(stats, interval, origin)
    times = [timeline.place(stamp) for stamp in stamps]
    return [round(time, 6) for time in times if time is not None], stats.bad_timestamps


@pytest.mark.parametrize(
    ("stamps", "times", "bad"),
    [
        ([5.0, 5.1, 5.7], [0, 0.1, 0.7], 0),  # any origin, variable rate
        ([0.0, None, 0.2], [0, 0.1, 0.2], 1),  # missing
        ([None, None, None], [0, 0.1, 0.2], 3),  # never there
        ([None, 7.0, 7.1], [0, 0.1, 0.2], 1),  # missing at first
        ([0.0, math.nan, math.inf, 0.3], [0, 0.1, 0.2, 0.3], 2),
        ([0.0, 0.1, 0.05, 0.2], [0, 0.1, 0.2], 1),  # out of order: skipped
        ([0.0, 0.1, 0.1, 0.3], [0, 0.1, 0.2, 0.3], 1),  # repeated: as if missing
        ([0.0, 5.0, 0.0, 0.1], [0, 5, 5.1, 5.2], 1),  # a new beginning: goes on from where it was
        ([3.0] * 4, [0, 0.1, 0.2, 0.3], 3),  # a stopped clock
    ],
)
def test_stamps_to_times(stamps: list[float | None], times: list[float], bad: int) -> None:
    assert placed(stamps) == (times, bad)


@pytest.mark.parametrize(
    ("stamps", "times", "bad"),
    [
        ([100.0, 100.5, 95.0, 95.5], [100, 100.5, 95, 95.5], 1),  # a clock that was set back
        ([0.0, 0.5, 3600.0, 1.0, 1.5], [0, 0.5, 3600, 1, 1.5], 1),  # one wild stamp
        ([0.0, 0.9, *[0.5, 0.6] * 6, 1.0], [0, 0.9, 1.0], 12),  # back by less: skipped until it has caught up
        ([0.0, None, 0.04, 0.08, 0.12], [0, 0.1, 0.12], 3),
    ],
)
def test_stamps_that_are_kept(stamps: list[float | None], times: list[float], bad: int) -> None:
    stats = SourceStats()
    timeline = Timeline(stats, 0.1, 0.0, keeps=True)
    kept = [time for time in map(timeline.place, stamps) if time is not None]
    assert (kept, stats.bad_timestamps) == (pytest.approx(times), bad)


class Container(Decoder):
    """What a decoder gives of a file with these stamps."""

    interval, start, aspect = 0.1, None, 1.0

    def __init__(self, stamps: list[float | None]) -> None:
        self.stamps, self.is_closed = stamps, False

    def __iter__(self) -> Iterator[tuple[int, float | None]]:  # type: ignore[override]
        yield from enumerate(self.stamps)

    def picture(self, frame: int, time: float) -> Picture:
        return Picture(frame, time)  # type: ignore[arg-type]

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(
    ("stamps", "times", "bad"),
    [
        ([0.0, 0.1, 3600.0, 0.3, 0.4], [0, 0.1, 0.2, 0.3, 0.4], 1),  # one wild stamp: as if missing
        ([0.0, 3600.0, 0.2, 7200.0, 0.4], [0, 0.1, 0.2, 0.3, 0.4], 2),
        ([0.0, 0.1, 3600.0, 3600.1], [0, 0.1, 3600, 3600.1], 0),  # a leap that lasts: a gap
        ([0.0, 0.1, 3600.0], [0, 0.1, 3600], 0),  # nothing speaks against it
        ([7.0, 7.1, 9.0, 0.0, 0.1], [0, 0.1, 2, 2.1, 2.2], 1),  # a new beginning after a gap
        ([0.0, 0.5, None, 0.7], [0, 0.5, 0.6, 0.7], 1),
        ([0.0, 0.3, 0.2, 0.4], [0, 0.3, 0.4], 1),  # out of order by little: skipped
        ([], [], 0),
    ],
)
def test_a_recording_keeps_its_times_though_one_stamp_is_wild(
    stamps: list[float | None], times: list[float], bad: int
) -> None:
    stats, container = SourceStats(), Container(stamps)
    pictures = list(decoded(container, stats))  # type: ignore[arg-type]
    assert [picture.time for picture in pictures] == pytest.approx(times)
    assert stats.bad_timestamps == bad and container.is_closed


@given(st.lists(st.none() | st.floats(width=32), max_size=40))
def test_wild_stamps_are_taken_away_and_nothing_else_is(stamps: list[float | None]) -> None:
    found = list(without_wild(enumerate(stamps)))
    assert [number for number, _ in found] == list(range(len(stamps)))
    for (_, kept), stamp, following in zip(found, stamps, [*stamps, None][1:], strict=True):
        assert kept is stamp or (kept is None and following is not None and stamp is not None and following < stamp)


def test_an_origin_is_second_zero_and_not_the_first_stamp() -> None:
    assert placed([1.5, 1.6], origin=1.4) == ([0.1, 0.2], 0)


def test_frames_that_stay_late_are_not_skipped_for_longer_than_a_second() -> None:
    times, _ = placed([0.0, 0.9, *(number / 1000 for number in range(100))])
    assert len(times) >= 10


@given(st.lists(st.none() | st.floats(width=32), max_size=60))
def test_times_always_rise(stamps: list[float | None]) -> None:
    stats = SourceStats()
    timeline = Timeline(stats, 0.1)
    given_out = [timeline.place(stamp) for stamp in stamps]
    times = [time for time in given_out if time is not None and abs(time) < 1e12]
    assert times == sorted(times)


def sampled(fps: float | None, times: list[float]) -> list[float]:
    grid = Grid(fps)
    return [time for time in times if grid.takes(time)]


def test_the_first_frame_at_or_after_each_due_time() -> None:
    at_25 = [number / 25 for number in range(26)]
    assert sampled(4, at_25) == [0, 0.28, 0.52, 0.76, 1.0]


def test_no_rate_takes_all_and_slow_sources_lose_nothing() -> None:
    times = [0.0, 0.1, 3.0, 3.01]
    assert sampled(None, times) == times
    assert sampled(1, [0.0, 1.5, 2.9, 4.0]) == [0.0, 1.5, 2.9, 4.0]


def test_a_gap_is_one_frame_and_the_grid_stays() -> None:
    assert sampled(1, [0.0, 0.5, 7.3, 7.9, 8.0, 8.5]) == [0.0, 7.3, 8.0]


def test_a_clock_that_goes_back_begins_a_grid() -> None:
    assert sampled(4, [100, 100.1, 100.25, 95.1, 95.2, 95.35]) == [100, 100.25, 95.1, 95.35]


@pytest.mark.parametrize(("rate", "fps"), [(30, 15), (30, 10), (24, 12), (60, 20), (29.97, 9.99)])
def test_stamps_rounded_to_milliseconds_hit_the_grid(rate: float, fps: float) -> None:
    times = [round(number / rate, 3) for number in range(300)]
    assert sampled(fps, times) == times[:: round(rate / fps)]


def test_the_stamps_that_were_right_more_often_are_taken() -> None:
    guess = StampGuess()
    assert [guess(pts, dts) for pts, dts in ((1, 1), (3, 2), (2, 3), (5, 4), (4, 5), (6, 6))] == [1, 3, 3, 4, 5, 6]
    guess = StampGuess()
    assert [guess(pts, None) for pts in (1, 2, 3)] == [1, 2, 3]
    assert guess(None, 9) == 9
    assert guess(None, None) is None
