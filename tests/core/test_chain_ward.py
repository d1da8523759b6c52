"""Offline chain Ward against scikit-learn's agglomerative clustering with chain connectivity."""

from __future__ import annotations

from itertools import pairwise
from time import process_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import diags_array
from sklearn.cluster import AgglomerativeClustering

from vljepa_edge._core import chain_ward
from vljepa_edge.errors import InputError


def oracle(rows: NDArray[np.float32], n_segments: int) -> list[int]:
    chain = diags_array([np.ones(len(rows) - 1)] * 2, offsets=[-1, 1])
    model = AgglomerativeClustering(n_segments, connectivity=chain, linkage="ward")
    labels = model.fit_predict(rows.astype(np.float64))
    return [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist()]


def walk(length: int, width: int, seed: int) -> NDArray[np.float32]:
    """Unit embeddings of a stream that drifts and jumps."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(length, width)) * rng.choice([0.1, 2.0], p=[0.8, 0.2], size=(length, 1))
    rows = np.cumsum(steps, axis=0) + rng.normal(size=width)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows, np.float32)


@given(st.integers(2, 60), st.integers(2, 20), st.integers(0, 2**32 - 1), st.data())
def test_equals_scikit_learn(length: int, width: int, seed: int, data: st.DataObject) -> None:
    rows = walk(length, width, seed)
    n_segments = data.draw(st.integers(1, length))
    assert chain_ward(rows, n_segments).tolist() == oracle(rows, n_segments)


@pytest.mark.parametrize("n_segments", [2, 60, 700])
def test_equals_scikit_learn_at_the_paper_size(n_segments: int) -> None:
    rows = walk(720, 1536, 0)
    assert chain_ward(rows, n_segments).tolist() == oracle(rows, n_segments)


@pytest.mark.slow
def test_a_million_embeddings_are_cut_where_scenes_change_in_n_log_n() -> None:
    """64 wide, 50 of a scene. 16 times as many take 20 times as long by n log n, and 256 times by n squared."""
    rng, count, dwell = np.random.default_rng(5), 1_000_000, 50
    rows = np.repeat(rng.standard_normal((count // dwell, 64), np.float32), dwell, axis=0)
    rows += 0.2 * rng.standard_normal(rows.shape, np.float32)
    seconds = {}
    for length in (count // 16, count):
        begun = process_time()
        firsts = chain_ward(rows[:length], length // dwell)
        seconds[length] = process_time() - begun
        assert np.array_equal(firsts, np.arange(0, length, dwell))
    assert seconds[count] < 100 * seconds[count // 16]


def test_repeated_frames_stay_together() -> None:
    runs = [3, 1, 7, 2, 12]
    rows = np.repeat(walk(len(runs), 8, 1), runs, axis=0)
    assert chain_ward(rows, len(runs)).tolist() == [0, *np.cumsum(runs)[:-1].tolist()]


@given(st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 4))
def test_threshold_stops_at_the_first_join_that_costs_more(length: int, seed: int, threshold: float) -> None:
    rows = walk(length, 6, seed)
    starts = chain_ward(rows, threshold=threshold)
    parts = [part.astype(np.float64) for part in np.split(rows, starts[1:])]
    assert starts.tolist() == chain_ward(rows, len(starts)).tolist()
    for a, b in pairwise(parts):
        n, k = len(a), len(b)
        assert n * k / (n + k) * np.sum((a.mean(0) - b.mean(0)) ** 2) > threshold - 1e-9


def test_refusals_say_what_is_allowed() -> None:
    rows = walk(4, 3, 0)
    with pytest.raises(InputError, match="5 segments are not supported; use 1 to 4"):
        chain_ward(rows, 5)
    with pytest.raises(InputError, match="0 segments"):
        chain_ward(rows, 0)
    with pytest.raises(InputError, match="one of them"):
        chain_ward(rows)  # type: ignore[call-overload]
    with pytest.raises(InputError, match=r"float64 \(4, 3\); pass a C-contiguous float32 array of shape \(time"):
        chain_ward(rows.astype(np.float64), 2)
    with pytest.raises(InputError, match="not C-contiguous"):
        chain_ward(rows.T, 2)
    with pytest.raises(InputError, match="row 2 is not finite"):
        chain_ward(np.where(np.arange(4)[:, None] == 2, np.float32(np.inf), rows), 2)
    with pytest.raises(InputError, match="at least one row"):
        chain_ward(rows[:0], 1)
