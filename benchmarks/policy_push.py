"""Policy push: running Ward in the C++ core, one embedding a push. Peer: the same policy in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench import THREADS, Bench
from benchmarks.comparison import Comparison, Limit, Stage
from benchmarks.interleave import Case, Samples
from vljepa_edge.streaming.policy import RunningWard

WIDTHS = (384, 1536)
PUSHES = 1000
_BYTES = 4 + 8 + 8  # of one element: the embedding read, the segment's sum read and written


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


def embeddings(count: int, width: int, scene: int = 40) -> NDArray[np.float32]:
    """Noisy unit embeddings (count, width) that change every `scene` rows."""
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((count // scene + 1, width))
    rows = centres[np.arange(count) // scene] + 0.3 * draw.standard_normal((count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def stages(bench: Bench) -> list[Stage]:
    return [_width(bench, width) for width in WIDTHS]


def _width(bench: Bench, width: int) -> Stage:
    rows, policy = embeddings(PUSHES, width), RunningWard()

    def ours() -> int:
        push = policy.start(width).push
        return sum(push(row, 0.25 * i).opened for i, row in enumerate(rows))

    def peer() -> int:
        push = NumpyRunningWard(width, policy.threshold, policy.min_duration).push
        return sum(push(row, 0.25 * i) for i, row in enumerate(rows))

    found: tuple[Callable[[], int], Callable[[], int]] = ours, peer
    opened = {run() for run in found}
    if len(opened) != 1:
        raise ValueError(f"the NumPy policy does not cut as the C++ one: {opened} segments")
    note = f"{PUSHES} pushes a sample; both cut at the same {opened.pop()} places."
    cases = [Case("C++ core", ours), Case("NumPy", peer)]
    title = f"policy, {PUSHES} pushes of {width}"

    def tell(samples: tuple[Samples, ...]) -> Comparison:
        limit = Limit(1e3 * PUSHES * _BYTES * width / bench.limits.memory[THREADS], "its bytes through memory once")
        return Comparison(title, samples, limit, (note,))

    return Stage(title, cases, tell, 0.2)
