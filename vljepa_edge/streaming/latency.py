"""Latencies of a stream's stages, in memory that does not grow."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

STAGES = ("hop", "queue", "scale", "encode", "predict", "policy", "decode", "overhead")
KEPT = 4096


class Latencies:
    """The last `KEPT` durations of each stage, in milliseconds. Safe from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rings: dict[str, NDArray[np.float32]] = {stage: np.zeros(KEPT, np.float32) for stage in STAGES}
        self._counts = dict.fromkeys(STAGES, 0)

    def record(self, durations: Mapping[str, float]) -> None:
        """Note one duration of each stage named, milliseconds."""
        with self._lock:
            for stage, milliseconds in durations.items():
                self._rings[stage][self._counts[stage] % KEPT] = milliseconds
                self._counts[stage] += 1

    def summary(self) -> dict[str, dict[str, float]]:
        """p50, p90 and p99 of every stage that has been recorded, milliseconds."""
        with self._lock:
            kept = {stage: self._rings[stage][: min(n, KEPT)].copy() for stage, n in self._counts.items() if n}
        return {
            stage: dict(zip(("p50", "p90", "p99"), np.percentile(values, (50, 90, 99)).tolist(), strict=True))
            for stage, values in kept.items()
        }

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._counts = dict.fromkeys(STAGES, 0)
