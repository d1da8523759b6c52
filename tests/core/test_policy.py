"""Online policies: what every one of them promises, and each against its definition written in plain numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vljepa_edge._core import Decision, PolicyState, Segment
from vljepa_edge.errors import InputError
from vljepa_edge.streaming.policy import Budget, LocalVariance, Policy, RunningWard, Uniform

WIDTH = 6

policies = st.one_of(
    st.builds(Uniform, period=st.floats(0.05, 5)),
    st.builds(
        LocalVariance,
        threshold=st.floats(0.01, 1),
        window=st.integers(2, 9),
        smooth=st.integers(1, 4),
        min_duration=st.floats(0, 2),
    ),
    st.builds(
        RunningWard,
        threshold=st.floats(0.01, 2),
        smooth=st.integers(1, 4),
        min_duration=st.floats(0, 2),
        max_duration=st.one_of(st.just(math.inf), st.floats(2.1, 6)),
        back=st.floats(0.1, 1),
    ),
    st.builds(
        Budget,
        per_minute=st.floats(1, 200),
        burst=st.integers(1, 5),
        least=st.floats(0.01, 1),
        min_duration=st.floats(0, 2),
        back=st.floats(0.1, 1),
    ),
)


@dataclass
class Stream:
    """Unit embeddings (hops, WIDTH) that dwell near a few directions and jump between them, at uneven times."""

    embeddings: NDArray[np.float32]
    times: list[float]
    end: float


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    hops = draw(st.integers(1, 60))
    scenes = np.repeat(rng.normal(size=(hops, WIDTH)), rng.geometric(0.2, hops), axis=0)[:hops]
    rows = scenes + rng.normal(size=scenes.shape) * draw(st.sampled_from([0.0, 0.1, 0.5]))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    times = np.cumsum(rng.choice([0.25, 0.25, 0.3125, 1.0], size=hops)) - 5.0  # exact in binary
    return Stream(rows.astype(np.float32), times.tolist(), float(times[-1]) + 0.25)


def run(state: PolicyState, stream: Stream) -> tuple[list[Decision], list[Segment]]:
    decisions = [state.push(x, t) for x, t in zip(stream.embeddings, stream.times, strict=True)]
    last = state.flush(stream.end)
    assert last.closed is not None
    return decisions, [d.closed for d in decisions if d.closed is not None] + [last.closed]


def facts(segments: list[Segment]) -> list[tuple[float, float, int, float, list[float]]]:
    return [(s.start, s.end, s.count, s.score, s.mean.tolist()) for s in segments]


@given(policies, streams())
def test_segments_tile_the_time_line(policy: Policy, stream: Stream) -> None:
    decisions, segments = run(policy.start(WIDTH), stream)
    assert segments[0].start == stream.times[0]
    assert segments[-1].end == stream.end
    assert all(a.end == b.start for a, b in pairwise(segments))
    assert all(s.start < s.end for s in segments)
    # A segment opens when one closes, and once at the beginning.
    assert [d.opened for d in decisions] == [True] + [d.closed is not None for d in decisions[1:]]
    assert [d.start for d in decisions if d.opened] == [s.start for s in segments]


@given(policies, streams())
def test_every_push_is_in_the_segment_of_its_time(policy: Policy, stream: Stream) -> None:
    _, segments = run(policy.start(WIDTH), stream)
    times = np.array(stream.times)
    for segment in segments:
        inside = (times >= segment.start) & (times < segment.end)
        if isinstance(policy, Budget) and segment.count < inside.sum():
            continue  # the budget had no token for a part of it
        assert segment.count == inside.sum()
        mean = stream.embeddings[inside].astype(np.float64).mean(0)
        np.testing.assert_allclose(segment.mean, mean / np.linalg.norm(mean), atol=1e-5)


@given(policies, streams(), streams())
def test_reset_is_a_fresh_state(policy: Policy, first: Stream, second: Stream) -> None:
    used = policy.start(WIDTH)
    for x, t in zip(first.embeddings, first.times, strict=True):
        used.push(x, t)
    used.reset()
    assert facts(run(used, second)[1]) == facts(run(policy.start(WIDTH), second)[1])


@given(policies, streams())
def test_flush_closes_and_the_stream_goes_on(policy: Policy, stream: Stream) -> None:
    state = policy.start(WIDTH)
    before = facts(run(state, stream)[1])
    assert state.flush(stream.end).closed is None
    shift = stream.end - stream.times[0]
    later = Stream(stream.embeddings, [t + shift for t in stream.times], stream.end + shift)
    after = run(state, later)[1]
    assert after[0].start == stream.end
    assert [s.count for s in after] == [fact[2] for fact in before]


@given(policies, streams())
def test_decisions_depend_on_the_past_only(policy: Policy, stream: Stream) -> None:
    whole, _ = run(policy.start(WIDTH), stream)
    half = len(stream.times) // 2
    state = policy.start(WIDTH)
    for expected, x, t in zip(whole[:half], stream.embeddings, stream.times, strict=False):
        got = state.push(x, t)
        assert (got.opened, got.start, got.score) == (expected.opened, expected.start, expected.score)


def has_lasted(times: list[float], now: int, since: int, duration: float) -> bool:
    """Whether hop `now` is `duration` seconds after hop `since`, or short of it by a quarter of a hop at most."""
    short = duration - (times[now] - times[since])
    return short <= 1e-9 or (short <= (times[now] - times[now - 1]) / 4 and short <= duration / 4)


def ward_oracle(policy: RunningWard, stream: Stream) -> list[list[int]]:
    """Segments as lists of hops, everything recomputed from the hops at each step."""
    rows, times = stream.embeddings.astype(np.float64), stream.times
    closed: list[list[int]] = []
    segment, candidate, pool_start = [0], list[int](), 0
    for i in range(1, len(rows)):
        pooled = rows[max(pool_start, i + 1 - policy.smooth) : i + 1].mean(0)
        n = len(segment)
        cost = n / (n + 1) * np.sum((rows[segment].mean(0) - pooled) ** 2)
        full = has_lasted(times, i, segment[0], policy.max_duration)
        if cost <= policy.threshold * (policy.back if candidate else 1):
            segment, candidate = segment + candidate, []
            if not full:
                segment.append(i)
                continue
        if not candidate:
            pool_start = i
        candidate.append(i)
        if full or has_lasted(times, i, candidate[0], policy.min_duration):
            closed.append(segment)
            segment, candidate = candidate, []
    return [*closed, segment + candidate]


@settings(max_examples=200)
@given(
    st.builds(
        RunningWard,
        threshold=st.floats(0.01, 2),
        smooth=st.integers(1, 4),
        min_duration=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
        max_duration=st.sampled_from([1.5, 4.0, math.inf]),
        back=st.sampled_from([0.3, 0.7, 1.0]),
    ),
    streams(),
)
def test_running_ward_equals_its_definition(policy: RunningWard, stream: Stream) -> None:
    _, segments = run(policy.start(WIDTH), stream)
    assert [s.start for s in segments] == [stream.times[hops[0]] for hops in ward_oracle(policy, stream)]


def variance_oracle(policy: LocalVariance, stream: Stream) -> list[int]:
    """First hops of the segments."""
    rows, starts = stream.embeddings.astype(np.float64), [0]
    for i in range(1, len(rows)):
        first = starts[-1]
        pooled = np.array([rows[max(first, j + 1 - policy.smooth) : j + 1].mean(0) for j in range(first, i + 1)])
        variance = pooled[-policy.window :].var(0).sum()
        if variance > policy.threshold and has_lasted(stream.times, i, first, policy.min_duration):
            starts.append(i)
    return starts


@given(
    st.builds(
        LocalVariance,
        threshold=st.floats(0.01, 0.8),
        window=st.integers(2, 9),
        smooth=st.integers(1, 4),
        min_duration=st.sampled_from([0.0, 0.5, 1.0]),
    ),
    streams(),
)
def test_local_variance_equals_its_definition(policy: LocalVariance, stream: Stream) -> None:
    _, segments = run(policy.start(WIDTH), stream)
    assert [s.start for s in segments] == [stream.times[i] for i in variance_oracle(policy, stream)]


def test_uniform_decodes_once_a_period() -> None:
    state = Uniform(period=1.0).start(WIDTH)
    x = np.eye(1, WIDTH, dtype=np.float32)[0]
    opened = [t for t in np.arange(0, 60, 0.1).tolist() if state.push(x, t).opened]
    np.testing.assert_allclose(opened, np.arange(60), atol=1e-9)  # sums of 0.1 are not exact


@pytest.mark.parametrize("jitter", [0.0, 0.003, 0.02])
@given(st.integers(0, 2**32 - 1))
def test_the_jitter_of_a_camera_changes_no_decision(jitter: float, seed: int) -> None:
    """Hops of 0.25 s: a change shows when it has lasted two of them, a period of 1 s ends at every fourth."""
    rng = np.random.default_rng(seed)
    times = (np.arange(80) / 4 + rng.uniform(-jitter, jitter, 80)).tolist()
    changing = np.eye(8, WIDTH, dtype=np.float32)[np.arange(80) // 10 % 4]
    ward = RunningWard(min_duration=0.5).start(WIDTH)
    opened = [hop for hop in range(80) if ward.push(changing[hop], times[hop]).opened]
    assert opened == [0, *range(12, 80, 10)]
    uniform = Uniform(period=1.0).start(WIDTH)
    assert [hop for hop in range(80) if uniform.push(changing[hop], times[hop]).opened] == list(range(0, 80, 4))


def test_running_ward_never_splits_a_still_scene() -> None:
    state = RunningWard().start(WIDTH)
    x = np.full(WIDTH, WIDTH**-0.5, np.float32)
    assert sum(state.push(x, i * 0.25).opened for i in range(1000)) == 1


@pytest.mark.parametrize(
    ("embedding", "message"),
    [
        (np.zeros(WIDTH), r"float64 \(6,\); pass a C-contiguous float32 array of shape \(6,\)"),
        (np.zeros((1, WIDTH), np.float32), r"float32 \(1, 6\)"),
        (np.zeros(WIDTH - 1, np.float32), r"float32 \(5,\)"),
        (np.zeros(2 * WIDTH, np.float32)[::2], "not C-contiguous"),
        ([0.0] * WIDTH, "a list"),
        (None, "a NoneType"),
        (np.full(WIDTH, np.nan, np.float32), "not finite"),
        (np.array([np.inf, -np.inf, 0, 0, 0, 0], np.float32), "not finite"),
    ],
)
def test_bad_embeddings_are_refused_and_change_nothing(embedding: NDArray[np.float32], message: str) -> None:
    state = RunningWard().start(WIDTH)
    with pytest.raises(InputError, match=message):
        state.push(embedding, 0.0)
    assert state.push(np.eye(1, WIDTH, dtype=np.float32)[0], 0.0).opened


def test_time_must_advance() -> None:
    state = RunningWard().start(WIDTH)
    x = np.eye(1, WIDTH, dtype=np.float32)[0]
    state.push(x, 1.0)
    for time in (1.0, 0.5, math.nan, math.inf):
        with pytest.raises(InputError, match="is not supported; use"):
            state.push(x, time)
    with pytest.raises(InputError, match="not before"):
        state.flush(0.9)
    closed = state.flush(1.0).closed
    assert closed is not None and closed.count == 1
    assert state.push(x, 1.0).opened


def test_an_embedding_is_read_in_place() -> None:
    memory = np.zeros((3, WIDTH), np.float32)
    memory[1] = 1.0
    memory.flags.writeable = False
    segment = RunningWard().start(WIDTH)
    segment.push(memory[1], 0.0)
    closed = segment.flush(1.0).closed
    assert closed is not None
    np.testing.assert_allclose(closed.mean, np.full(WIDTH, WIDTH**-0.5), rtol=1e-6)


def test_embeddings_that_cancel_have_no_direction() -> None:
    state = Uniform(period=10).start(2)
    state.push(np.array([1, 0], np.float32), 0.0)
    state.push(np.array([-1, 0], np.float32), 1.0)
    closed = state.flush(2.0).closed
    assert closed is not None and closed.mean.tolist() == [0.0, 0.0]


# --- windows that hold what was before a change ---

SPAN = 1.75
HOP = 0.25


def through_windows(
    state: PolicyState, shots: list[tuple[NDArray[np.float32], int]], restarts: bool, seed: int
) -> tuple[list[Decision], list[Segment]]:
    """Shots of (embedding, hops), seen through windows of SPAN seconds. Those that hold two shots give an embedding
    that is like neither, unless the window `restarts` at each shot."""
    rng = np.random.default_rng(seed)
    decisions, time = [], 0.0
    for number, (embedding, hops) in enumerate(shots):
        cut = time
        for _ in range(hops):
            since = max(cut if restarts or number == 0 else 0.0, time - SPAN)
            row = embedding if since >= cut else axis(int(rng.integers(3, WIDTH)))
            decisions.append(state.push(row, time, since))
            time += HOP
    last = state.flush(time)
    assert last.closed is not None
    return decisions, [d.closed for d in decisions if d.closed is not None] + [last.closed]


def unit(row: NDArray[np.float64]) -> NDArray[np.float32]:
    return (row / np.linalg.norm(row)).astype(np.float32)


def axis(number: int) -> NDArray[np.float32]:
    return np.eye(1, WIDTH, number, dtype=np.float32)[0]


@given(st.lists(st.integers(16, 40), min_size=1, max_size=6), st.booleans(), st.integers(0, 10**6))
def test_hard_cuts_make_a_segment_a_shot(hops: list[int], restarts: bool, seed: int) -> None:
    shots = [(axis(number % 3), length) for number, length in enumerate(hops)]
    decisions, segments = through_windows(RunningWard().start(WIDTH), shots, restarts, seed)
    cuts = np.cumsum([0, *hops[:-1]]) * HOP
    placed = [(d.since + d.start) / 2 for d in decisions if d.opened]
    assert len(segments) == len(hops)
    np.testing.assert_allclose(placed, cuts, atol=0 if restarts else HOP)
    for number, segment in enumerate(segments):
        if restarts or number == len(segments) - 1:  # else its last hops may have held what came next
            np.testing.assert_allclose(segment.mean, axis(number % 3), atol=1e-5)


@given(st.lists(st.integers(3, 12), min_size=1, max_size=8), st.integers(0, 10**6))
def test_shots_shorter_than_the_window_are_segments_where_the_window_restarts(hops: list[int], seed: int) -> None:
    shots = [(axis(number % 3), length) for number, length in enumerate(hops)]
    assert len(through_windows(RunningWard().start(WIDTH), shots, True, seed)[1]) == len(hops)


@given(st.integers(4, 40), st.integers(1, 2), st.integers(1, 40))
def test_a_flash_makes_no_segment(before: int, flash: int, after: int) -> None:
    shots = [(axis(0), before), (axis(1), flash), (axis(0), after)]
    assert len(through_windows(RunningWard().start(WIDTH), shots, True, 0)[1]) == 1


def test_at_a_hard_cut_a_smaller_change_is_enough() -> None:
    near = unit(np.array([1, 0.4, 0, 0, 0, 0]))  # squared distance 0.14
    shots = [(axis(0), 20), (near, 20)]
    assert len(through_windows(RunningWard().start(WIDTH), shots, True, 0)[1]) == 2
    state = RunningWard().start(WIDTH)
    assert (
        sum(state.push(row, HOP * i, HOP * i - SPAN).opened for i, row in enumerate([axis(0)] * 20 + [near] * 20)) == 1
    )


def test_a_slow_drift_is_cut_as_without_windows() -> None:
    """Embeddings turn by little a hop: what the windows hold makes no difference to how many segments there are."""
    angles = np.linspace(0, 2 * np.pi, 200)
    rows = np.zeros((200, WIDTH), np.float32)
    rows[:, 0], rows[:, 1] = np.cos(angles), np.sin(angles)
    with_windows, without = RunningWard().start(WIDTH), RunningWard().start(WIDTH)
    told = sum(with_windows.push(row, HOP * i, max(0.0, HOP * i - SPAN)).opened for i, row in enumerate(rows))
    plain = sum(without.push(row, HOP * i).opened for i, row in enumerate(rows))
    assert abs(told - plain) <= 1


def test_what_an_embedding_speaks_of_is_not_after_it() -> None:
    state = RunningWard().start(WIDTH)
    for since in (1.5, math.nan, math.inf, -math.inf):
        with pytest.raises(InputError, match="since"):
            state.push(axis(0), 1.0, since)
    assert state.push(axis(0), 1.0, 1.0).opened
