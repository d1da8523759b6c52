"""Windowed mean and variance against numpy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vljepa_edge._core import SlidingStats
from vljepa_edge.errors import InputError


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_equals_numpy_over_the_window(width: int, window: int, count: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    stats = SlidingStats(width, window)
    for i, row in enumerate(rows):
        stats.push(row)
        inside = rows[max(0, i + 1 - window) : i + 1].astype(np.float64)
        assert stats.count == len(inside)
        np.testing.assert_allclose(stats.mean, inside.mean(0), atol=1e-6)
        assert stats.variance == pytest.approx(inside.var(0).sum(), rel=1e-12, abs=1e-13)


def test_a_far_offset_does_not_cancel() -> None:
    # The textbook formula, mean of squares less square of mean, loses every digit here.
    rows = (1e4 + np.random.default_rng(0).normal(size=(100, 8)) * 1e-2).astype(np.float32)
    stats = SlidingStats(8, 16)
    for row in rows:
        stats.push(row)
    assert stats.variance == pytest.approx(rows[-16:].astype(np.float64).var(0).sum(), rel=1e-9)


def test_no_drift_over_a_long_stream() -> None:
    rows = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    stats = SlidingStats(4, 16)
    for i in range(100_000):
        stats.push(rows[i % 16] if i % 1000 else rows[0] * np.float32(1e8))
    for row in rows:
        stats.push(row)
    assert stats.variance == pytest.approx(rows.astype(np.float64).var(0).sum(), rel=1e-13)


def test_clear_and_refusals() -> None:
    stats = SlidingStats(2, 3)
    stats.push(np.ones(2, np.float32))
    stats.clear()
    assert (stats.count, stats.variance, stats.mean.tolist()) == (0, 0.0, [0.0, 0.0])
    with pytest.raises(InputError, match="not finite"):
        stats.push(np.array([np.nan, 0], np.float32))
    with pytest.raises(InputError, match="window 0 is not supported; use at least 1"):
        SlidingStats(2, 0)
