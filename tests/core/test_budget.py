"""The budget: a bound on segments that nothing breaks, a rate that is held, and the larger changes chosen.

Also every policy against plain NumPy in float64 over a stream of 100,000 hops: small errors must not add up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Protocol

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vljepa_edge._core import PolicyState
from vljepa_edge.streaming.policy import Budget, LocalVariance, Policy, RunningWard, Uniform

WIDTH = 8
WIDE = 1536  # of the paper's embeddings
HOP = 0.25
Rows = NDArray[np.float32]


@cache
def scenes(hops: int, seed: int, dwell: float, noise: float = 0.02) -> tuple[Rows, NDArray[np.float64]]:
    """Unit embeddings that dwell for about so many hops near one direction, then go more or less far; times jitter."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((hops, WIDTH))
    centre = rng.normal(size=WIDTH)
    for hop in range(hops):
        if rng.random() < 1 / dwell:
            share = rng.random() ** 2
            centre = (1 - share) * centre / np.linalg.norm(centre) + share * rng.normal(size=WIDTH) / WIDTH**0.5
        rows[hop] = centre / np.linalg.norm(centre) + noise * rng.normal(size=WIDTH)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), np.arange(hops) * HOP + rng.uniform(-0.02, 0.02, hops)


def openings(state: PolicyState, rows: Rows, times: NDArray[np.float64]) -> list[int]:
    return [hop for hop, row in enumerate(rows) if state.push(row, float(times[hop])).opened]


@given(
    st.builds(
        Budget,
        per_minute=st.floats(1, 60),
        burst=st.integers(1, 8),
        least=st.floats(0.01, 0.5),
        min_duration=st.sampled_from([0.0, 0.5]),
    ),
    st.integers(0, 10**6),
    st.sampled_from([1.0, 4.0, 20.0]),
)
def test_no_stretch_has_more_segments_than_its_budget(policy: Budget, seed: int, dwell: float) -> None:
    rows, times = scenes(300, seed, dwell)
    opened = times[openings(policy.start(WIDTH), rows, times)]
    counts = np.arange(len(opened))
    held = counts[None] - counts[:, None] + 1  # from opening i to opening j, both counted
    allowed = policy.burst + policy.per_minute / 60 * (opened[None] - opened[:, None])
    assert (held <= allowed + 1e-6)[np.triu_indices(len(opened))].all()


@pytest.mark.parametrize("per_minute", [2.0, 6.0, 12.0])
@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_the_rate_is_held_where_more_changes_than_it_allows(per_minute: float, noise: float) -> None:
    """Thirty changes a minute for an hour, of all sizes: the budget is used up, and what it cuts at costs most."""
    rows, times = scenes(60 * 240, 1, dwell=8, noise=noise)
    policy = Budget(per_minute=per_minute, burst=3, least=0.02)
    state = policy.start(WIDTH)
    decisions = [state.push(row, float(time)) for row, time in zip(rows, times, strict=True)]
    cuts = [decision.score for decision in decisions if decision.closed is not None]
    assert 0.9 * 60 * per_minute <= len(cuts) <= 60 * per_minute + policy.burst
    other = RunningWard(threshold=0.02).start(WIDTH)
    every = [d.score for row, t in zip(rows, times, strict=True) if (d := other.push(row, float(t))).closed is not None]
    assert np.median(cuts) > np.median(every)


def test_a_still_scene_uses_none_of_it() -> None:
    rows, times = scenes(14_400, 2, dwell=1e9, noise=0.02)
    assert openings(Budget(per_minute=60, burst=3).start(WIDTH), rows, times) == [0]


def test_a_burst_is_allowed_and_what_comes_too_soon_is_dated_to_where_it_began() -> None:
    rows = np.repeat(np.eye(4, WIDTH, dtype=np.float32), 8, axis=0)  # a change every two seconds
    state = Budget(per_minute=6, burst=3, min_duration=0.5).start(WIDTH)
    told = [(hop * HOP, d.start) for hop, row in enumerate(rows) if (d := state.push(row, hop * HOP)).opened]
    assert told == [(0.0, 0.0), (2.5, 2.0), (4.5, 4.0)]
    later = [(hop * HOP, d.start) for hop in range(32, 60) if (d := state.push(rows[-1], hop * HOP)).opened]
    assert later == [(10.0, 6.0)]  # ten seconds a token


def test_scenes_that_find_no_token_are_in_no_mean() -> None:
    """A for 10 s, B for 45 s, a hop of A, then C; the next token comes after a minute. B is never told, and no mean has
    anything of it; C is told from where it began. So it is where C follows B without a hop of A."""
    a, b, c = np.eye(3, WIDTH, dtype=np.float32)
    for between in ([a], []):
        rows = [a] * 40 + [b] * 180 + between + [c] * 40
        state = Budget(per_minute=1, burst=1).start(WIDTH)
        decisions = [state.push(row, hop * HOP) for hop, row in enumerate(rows)]
        (closed,) = [d.closed for d in decisions if d.closed is not None]
        assert (closed.start, closed.end, closed.count) == (0.0, (220 + len(between)) * HOP, 40 + len(between))
        np.testing.assert_allclose(closed.mean, a, atol=1e-6)
        assert [hop * HOP for hop, d in enumerate(decisions) if d.opened] == [0.0, 60.0]
        last = state.flush(len(rows) * HOP).closed
        assert last is not None
        np.testing.assert_allclose(last.mean, c, atol=1e-6)


def test_what_waits_for_a_token_when_the_stream_ends_is_in_no_mean() -> None:
    a, b = np.eye(2, WIDTH, dtype=np.float32)
    state = Budget(per_minute=1, burst=1).start(WIDTH)
    for hop, row in enumerate([a] * 8 + [b] * 8):
        state.push(row, hop * HOP)
    last = state.flush(16 * HOP).closed
    assert last is not None
    assert (last.start, last.end, last.count) == (0.0, 4.0, 8)
    np.testing.assert_allclose(last.mean, a, atol=1e-6)


def test_one_threshold_to_leave_and_another_to_come_back() -> None:
    """A change that lingers between the thresholds lasts with hysteresis, and is forgiven without."""
    near, far = (np.array([math.cos(angle), math.sin(angle), *[0.0] * 6], np.float32) for angle in (0.5, 0.8))
    rows = [np.eye(1, WIDTH, dtype=np.float32)[0]] * 20 + [far, near, far, near, far, near]
    times = np.arange(len(rows)) * HOP
    assert openings(RunningWard(threshold=0.3).start(WIDTH), np.array(rows), times) == [0]
    assert openings(RunningWard(threshold=0.3, back=0.5).start(WIDTH), np.array(rows), times) == [0, 22]


# --- a long stream against float64 ---


def ward(total: NDArray[np.float64], count: int, row: NDArray[np.float64]) -> float:
    """Ward's cost of one more row in a segment."""
    difference = total / count - row
    return count / (count + 1) * float(difference @ difference)


class Oracle(Protocol):
    """A policy as one reads it."""

    def push(self, row: Rows, time: float) -> bool:
        """Whether a segment opens."""
        ...


class Ward:
    """RunningWard and Budget as their docstrings say, for embeddings that speak of one moment."""

    def __init__(self, policy: RunningWard | Budget) -> None:
        self.policy = policy
        self.threshold, self.tokens = 0.3, math.inf
        if isinstance(policy, RunningWard):
            self.threshold = policy.threshold
        else:
            self.tokens = policy.burst - 1.0
        self.sum, self.count = np.zeros(WIDE), 0
        self.candidate, self.candidates, self.candidate_start = np.zeros(WIDE), 0, 0.0
        self.before, self.withheld = 0.0, False

    def push(self, row: Rows, time: float) -> bool:
        row64, hop, self.before = row.astype(np.float64), time - self.before, time
        if self.count == 0:
            self.sum, self.count = row64, 1
            return True
        policy = self.policy
        if isinstance(policy, Budget):
            earned = policy.per_minute / 60 * hop
            self.tokens = min(policy.burst, self.tokens + earned)
            self.threshold = max(policy.least, self.threshold * math.exp(-0.3 * earned))
        broke = self.tokens < 1 - 1e-9
        if self.withheld and broke and ward(self.candidate, self.candidates, row64) > self.threshold:
            self.candidate, self.candidates, self.withheld = np.zeros(WIDE), 0, False
        cost = ward(self.sum, self.count, row64)
        if cost <= self.threshold * (policy.back if self.candidates else 1.0):
            if self.withheld:
                self.candidate, self.candidates, self.withheld = np.zeros(WIDE), 0, False
            self.sum, self.count = self.sum + self.candidate + row64, self.count + self.candidates + 1
            self.candidate, self.candidates = np.zeros(WIDE), 0
            return False
        if not self.candidates:
            self.candidate_start = time
        self.candidate, self.candidates = self.candidate + row64, self.candidates + 1
        short = policy.min_duration - (time - self.candidate_start)
        lasted = short <= max(1e-9, min(hop, policy.min_duration) / 4)
        self.withheld = lasted and broke
        if not lasted or broke:
            return False
        self.sum, self.count, self.candidate, self.candidates = self.candidate, self.candidates, np.zeros(WIDE), 0
        if isinstance(policy, Budget):
            self.tokens -= 1
            self.threshold = min(4.0, self.threshold * math.exp(0.3))
        return True


class Variance:
    """LocalVariance as its docstring says."""

    def __init__(self, policy: LocalVariance) -> None:
        self.policy = policy
        self.rows: list[NDArray[np.float64]] = []
        self.pooled: list[NDArray[np.float64]] = []
        self.start = self.before = 0.0

    def push(self, row: Rows, time: float) -> bool:
        hop, self.before, begins = time - self.before, time, not self.rows
        self.rows = [*self.rows[-self.policy.smooth + 1 :], row.astype(np.float64)]
        self.pooled = [*self.pooled[-self.policy.window + 1 :], sum(self.rows) / len(self.rows)]
        short = self.policy.min_duration - (time - self.start)
        if not begins:
            mean = sum(self.pooled) / len(self.pooled)
            variance = sum(float((one - mean) @ (one - mean)) for one in self.pooled) / len(self.pooled)
            if variance <= self.policy.threshold or short > max(1e-9, min(hop, self.policy.min_duration) / 4):
                return False
        self.rows, self.start = [row.astype(np.float64)], time
        self.pooled = list(self.rows)
        return True


class Grid:
    """Uniform as its docstring says."""

    def __init__(self, policy: Uniform) -> None:
        self.period, self.due, self.before = policy.period, -math.inf, 0.0

    def push(self, row: Rows, time: float) -> bool:
        hop, self.before = time - self.before, time
        if self.due == -math.inf:
            self.due = time + self.period
            return True
        late = time - self.due + max(1e-9, min(hop, self.period) / 4)
        if late < 0:
            return False
        self.due += self.period * (1 + math.floor(late / self.period))
        return True


def long_scene(hops: int) -> Iterator[tuple[Rows, float]]:
    """As `scenes`, of the width of a large model, one at a time."""
    rng = np.random.default_rng(3)
    centre = rng.normal(size=WIDE)
    for hop in range(hops):
        if rng.random() < 1 / 12:
            share = rng.random() ** 2
            centre = (1 - share) * centre / np.linalg.norm(centre) + share * rng.normal(size=WIDE) / WIDE**0.5
        row = centre / np.linalg.norm(centre) + 0.06 * rng.normal(size=WIDE) / WIDE**0.5
        yield (row / np.linalg.norm(row)).astype(np.float32), hop * HOP + rng.uniform(-0.02, 0.02)


@pytest.mark.slow
def test_a_hundred_thousand_decisions_are_those_of_float64() -> None:
    policies: dict[Policy, Oracle] = {
        (ward := RunningWard(threshold=0.1, back=0.6)): Ward(ward),
        (budget := Budget(per_minute=6, burst=3, least=0.05, back=0.8)): Ward(budget),
        (variance := LocalVariance(threshold=0.03, window=6, smooth=2)): Variance(variance),
        (uniform := Uniform(period=0.6)): Grid(uniform),
    }
    states = {policy: policy.start(WIDE) for policy in policies}
    opened = dict.fromkeys(policies, 0)
    for row, time in long_scene(100_000):
        for policy, oracle in policies.items():
            expected = oracle.push(row, time)
            assert states[policy].push(row, time).opened == expected, f"{policy} at {time:.2f} s"
            opened[policy] += expected
    assert min(opened.values()) > 1000
