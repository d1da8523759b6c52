"""Whatever the clock of the frames does, a stream goes on and its counts add up."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.streaming.scenes import RED, picture, scenes
from vljepa_edge._core import Sampler
from vljepa_edge.errors import FrameError
from vljepa_edge.model import Model
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.stats import Stats

ENDS = ("encoded", "skipped", "repeated", "backwards", "bad_times", "dropped", "stale", "errors")
IMAGE = picture(RED)


def assert_adds_up(stats: Stats) -> None:
    assert sum(asdict(stats)[name] for name in ENDS) == stats.frames


def assert_in_order(events: list[Event]) -> None:
    """Per query segments alternate open, closed; each ends after it starts, and was decided after it started."""
    for opened, closed in zip(events[::2], events[1::2], strict=False):
        assert (opened.status, closed.status) == ("open", "closed")
        assert opened.segment == closed.segment and opened.start == closed.start
        assert closed.end is not None and opened.start <= closed.end
        assert closed.end <= closed.decided_at and opened.start <= opened.decided_at


wild = st.one_of(
    st.floats(),
    st.floats(-10, 10),
    st.floats(0, 1e6),
    st.sampled_from([0.0, -0.0, 1e12, -1e12, 1.7e18, math.inf, -math.inf, math.nan, 5e-324]),
)


@settings(max_examples=60)
@given(st.lists(wild, max_size=40))
@example([0.0, 1e12, 0.0, -1e12, 1e12])
def test_any_sequence_of_times_is_survived_and_counted(model: Model, times: list[float]) -> None:
    with model.open_stream(policy="uniform:period=0.5") as stream:
        events = [event for time in times for event in stream.push(IMAGE, time)]
        events += stream.flush()
    stats = stream.stats()
    assert stats.frames == len(times)
    assert_adds_up(stats)
    assert_in_order(events)
    assert stats.events == len(events) == stats.decodes


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(-1, 3), st.booleans()), max_size=30))
def test_a_trembling_clock_and_bad_frames_are_survived_and_counted(
    model: Model, steps: list[tuple[float, bool]]
) -> None:
    time, raised = 0.0, 0
    with model.open_stream(policy="uniform:period=0.5") as stream:
        for step, good in steps:
            time += step
            try:
                stream.push(IMAGE if good else np.zeros(3), time)
            except FrameError:
                raised += 1
    assert stream.stats().errors == raised
    assert_adds_up(stream.stats())


def test_repeated_and_late_frames_are_left_out(model: Model) -> None:
    with model.open_stream() as stream:
        for time in (0.0, 0.0, 0.25, 0.25, 0.1, 0.5, 0.4, 0.5, 0.75):
            stream.push(IMAGE, time)
    stats = stream.stats()
    assert (stats.encoded, stats.repeated, stats.backwards, stats.restarts) == (4, 3, 2, 0)


def test_a_clock_that_starts_again_starts_a_segment(model: Model) -> None:
    with model.open_stream() as stream:
        for image, time in scenes(RED, seconds=2):
            stream.push(image, 100 + time)
        closed, opened = stream.push(IMAGE, 5.0)
        assert (closed.status, closed.end, closed.decided_at) == ("closed", 101.75, 101.75)
        assert (opened.status, opened.start, opened.decided_at) == ("open", 5.0, 5.0)
        assert stream.push(IMAGE, 5.25) == []
    stats = stream.stats()
    assert (stats.restarts, stats.gaps, stats.encoded, stats.seconds) == (1, 0, 10, 2.0)


def test_a_gap_ends_the_segment_at_the_last_frame_and_clears_the_window(model: Model) -> None:
    with model.open_stream() as stream, model.open_stream() as fresh:
        rows: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []
        for each in (stream, fresh):
            each.subscribe(lambda time, embedding, query: rows.append(embedding))
        for image, time in scenes(RED, seconds=2):
            stream.push(image, time)
        closed, opened = stream.push(IMAGE, 60.0)
        fresh.push(IMAGE, 60.0)
    assert (closed.end, closed.decided_at, closed.change) == (1.75, 60.0, 0.0)
    assert (opened.start, opened.segment) == (60.0, 1)
    np.testing.assert_array_equal(rows[-1], rows[-2])
    assert stream.stats().gaps == 1


def test_one_wild_stamp_costs_little(model: Model) -> None:
    """Two and a half minutes of frames, with a stamp from next year after the first second."""
    with model.open_stream() as stream:
        for index in range(600):
            stream.push(IMAGE, 3e7 if index == 4 else index / 4)
    assert stream.stats().encoded >= 590


@pytest.mark.parametrize("time", [math.nan, math.inf, -math.inf, 1.7e12, 1.7e18])
def test_stamps_that_are_no_seconds_are_counted(model: Model, time: float) -> None:
    with model.open_stream() as stream:
        stream.push(IMAGE, 0.0)
        stream.push(IMAGE, time)
        stream.push(IMAGE, 0.25)
    assert (stream.stats().bad_times, stream.stats().encoded) == (1, 2)


def taken(fps: float, times: list[float]) -> list[float]:
    sampler = Sampler(fps, 2.0)
    kept = []
    for time in times:
        if sampler.judge(time) in ("due", "restarts"):
            sampler.take(time)
            kept.append(time)
    return kept


@example(math.inf, 1.7e9, 1.7e9 - 5.0)
@given(st.floats(0.3), st.floats(-2e9, 2e9), st.floats(0.01, 30))
def test_a_clock_that_is_set_back_costs_ten_seconds_at_most(gap: float, newest: float, back: float) -> None:
    sampler = Sampler(4.0, gap)
    sampler.judge(newest)
    sampler.take(newest)
    verdicts = [sampler.judge(newest - back + index / 4) for index in range(44)]
    assert min(verdicts.index(taken) for taken in ("due", "restarts") if taken in verdicts) <= 4 * min(gap, 10.0) + 2


@given(st.floats(0.5, 60), st.floats(0.5, 240), st.floats(-1e6, 1e6))
def test_regular_frames_are_taken_at_the_models_rate_or_their_own(fps: float, source: float, start: float) -> None:
    seconds = 30 / min(fps, source)
    kept = taken(fps, [start + index / source for index in range(int(seconds * source))])
    assert len(kept) == pytest.approx(seconds * min(fps, source), abs=1.5 + 0.02 * seconds * min(fps, source))


@given(st.lists(st.floats(-0.02, 0.02), min_size=40, max_size=40))
def test_the_jitter_of_a_camera_at_the_models_rate_loses_no_frame(jitter: list[float]) -> None:
    times = [0.0] + [index / 4 + shake for index, shake in enumerate(jitter, start=1)]
    assert taken(4.0, times) == times


@given(st.lists(st.floats(0.001, 0.6), min_size=1, max_size=60))
def test_sampling_what_was_sampled_changes_nothing(steps: list[float]) -> None:
    once = taken(4.0, list(np.cumsum(steps)))
    assert taken(4.0, once) == once


def test_no_drift_over_a_day() -> None:
    times = [index / 30 for index in range(30 * 3600)]
    assert len(taken(4.0, times)) == 4 * 3600
