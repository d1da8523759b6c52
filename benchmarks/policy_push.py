"""Policy push: one embedding a push. Running Ward and local variance beside the same in NumPy, then every policy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench import THREADS, Bench
from benchmarks.comparison import Comparison, Limit, Stage
from benchmarks.interleave import Case, Samples
from vljepa_edge.streaming.policy import Budget, LocalVariance, Policy, RunningWard, Uniform

WIDTHS = (384, 1536)
PUSHES = 1000
_HOP = 0.25  # seconds
_BYTES = 4 + 8 + 8  # of one element: the embedding read, the segment's sum read and written


class Peer(Protocol):
    def push(self, embedding: NDArray[np.float32], time: float) -> bool:
        """True when a segment opened."""
        ...


class NumpyRunningWard:
    """RunningWard with `smooth=1` and no `max_duration`, as one writes it in an afternoon."""

    def __init__(self, width: int, threshold: float, min_duration: float) -> None:
        self._threshold, self._min_duration = threshold, min_duration
        self._sum = np.zeros(width)
        self._count = 0
        self._candidate = np.zeros(width)
        self._candidate_count = 0
        self._candidate_start = 0.0

    def push(self, embedding: NDArray[np.float32], time: float) -> bool:
        """True when a segment opened."""
        if self._count == 0:
            self._sum += embedding
            self._count = 1
            return True
        difference = self._sum / self._count - embedding
        if self._count / (self._count + 1) * (difference @ difference) <= self._threshold:
            self._sum += self._candidate + embedding
            self._count += self._candidate_count + 1
            self._candidate[:] = 0.0
            self._candidate_count = 0
            return False
        if self._candidate_count == 0:
            self._candidate_start = time
        self._candidate += embedding
        self._candidate_count += 1
        if time - self._candidate_start < self._min_duration - 1e-9:
            return False
        self._sum, self._count = self._candidate, self._candidate_count
        self._candidate, self._candidate_count = np.zeros_like(self._sum), 0
        return True


class NumpyLocalVariance:
    """LocalVariance for hops of one length."""

    def __init__(self, policy: LocalVariance, hop: float) -> None:
        self._policy = policy
        self._least = policy.min_duration - 0.25 * min(hop, policy.min_duration)
        self._pool: deque[NDArray[np.float32]] = deque(maxlen=policy.smooth)
        self._window: deque[NDArray[np.float64]] = deque(maxlen=policy.window)
        self._start = -np.inf

    def push(self, embedding: NDArray[np.float32], time: float) -> bool:
        """True when a segment opened."""
        self._observe(embedding)
        if self._start > -np.inf and np.var(self._window, axis=0).sum() <= self._policy.threshold:
            return False
        if time - self._start < self._least:
            return False
        self._start = time
        self._pool.clear()
        self._window.clear()
        self._observe(embedding)
        return True

    def _observe(self, embedding: NDArray[np.float32]) -> None:
        self._pool.append(embedding)
        self._window.append(np.mean(self._pool, axis=0, dtype=np.float64))


def embeddings(count: int, width: int, scene: int = 40) -> NDArray[np.float32]:
    """Noisy unit embeddings (count, width) that change every `scene` rows."""
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((count // scene + 1, width))
    rows = centres[np.arange(count) // scene] + 0.3 * draw.standard_normal((count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def stages(bench: Bench) -> list[Stage]:
    ward, variance = RunningWard(), LocalVariance()
    peers: dict[Policy, Callable[[int], Peer]] = {
        ward: lambda width: NumpyRunningWard(width, ward.threshold, ward.min_duration),
        variance: lambda width: NumpyLocalVariance(variance, _HOP),
    }
    beside = [_pushed(bench, policy, width, start) for policy, start in peers.items() for width in WIDTHS]
    return [*beside, _every(bench, WIDTHS[-1])]


def _every(bench: Bench, width: int) -> Stage:
    """All policies with their defaults, the default one first."""
    rows = embeddings(PUSHES, width)
    policies = (RunningWard(), Budget(), LocalVariance(), Uniform())
    cases = [Case(policy.name, partial(_opened, policy, rows)) for policy in policies]
    title = f"every policy, {PUSHES} pushes of {width}"
    return Stage(title, cases, lambda samples: Comparison(title, samples, _limit(bench, width)), 0.1)


def _opened(policy: Policy, rows: NDArray[np.float32]) -> int:
    """How many segments open."""
    push = policy.start(rows.shape[1]).push
    return sum(push(row, _HOP * i).opened for i, row in enumerate(rows))


def _limit(bench: Bench, width: int) -> Limit:
    return Limit(1e3 * PUSHES * _BYTES * width / bench.limits.memory[THREADS], "its bytes through memory once")


def _pushed(bench: Bench, policy: Policy, width: int, start: Callable[[int], Peer]) -> Stage:
    rows = embeddings(PUSHES, width)
    ours = partial(_opened, policy, rows)
    call = partial(_opened, policy, np.repeat(rows[:1, :1], PUSHES, 0))

    def peer() -> int:
        push = start(width).push
        return sum(push(row, _HOP * i) for i, row in enumerate(rows))

    found: tuple[Callable[[], int], Callable[[], int]] = ours, peer
    opened = {run() for run in found}
    if len(opened) != 1:
        raise ValueError(f"the NumPy policy does not cut as the C++ one: {opened} segments")
    places = f"{PUSHES} pushes a sample; both cut at the same {opened.pop()} places."
    alone = "A push of width 1 is Python's call and little else."
    cases = [Case("C++ core", ours), Case("NumPy", peer), Case("C++ core, width 1", call)]
    title = f"{policy.name}, {PUSHES} pushes of {width}"

    def tell(samples: tuple[Samples, ...]) -> Comparison:
        return Comparison(title, samples, _limit(bench, width), (places, alone))

    return Stage(title, cases, tell, 0.1)
