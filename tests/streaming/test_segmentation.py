"""Offline segments are those of scikit-learn, with their times and means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.core.test_chain_ward import oracle, walk
from vljepa_edge import InputError, dendrogram, segment
from vljepa_edge._core import chain_ward, chain_ward_joins


@pytest.mark.parametrize("count", [1, 5, 60])
def test_segments_are_those_of_scikit_learn(count: int) -> None:
    rows = walk(60, 16, 3)
    times = np.arange(60) / 4 + 10
    found = segment(rows, times, count=count)
    assert [part.first for part in found] == oracle(rows, count)
    assert [part.stop for part in found] == [*(part.first for part in found[1:]), 60]
    assert [part.start for part in found] == [times[part.first] for part in found]
    assert [part.end for part in found] == [*(part.start for part in found[1:]), times[-1]]
    for part in found:
        mean = rows[part.first : part.stop].astype(np.float64).mean(0)
        np.testing.assert_allclose(part.embedding, mean / np.linalg.norm(mean), atol=1e-6)
        assert part.embedding.dtype == np.float32


def test_the_middle_is_the_row_nearest_to_the_middle_in_time() -> None:
    times = np.cumsum(np.random.default_rng(0).choice([0.25, 1.0], 60))
    rows = walk(60, 16, 4)
    for part in segment(rows, times, count=7):
        centre = (part.start + part.end) / 2
        inside = range(part.first, part.stop)
        assert part.middle in inside
        assert abs(times[part.middle] - centre) == min(abs(times[row] - centre) for row in inside)


@pytest.mark.parametrize("length", [1, 2, 80])
def test_the_dendrogram_holds_every_segmentation(length: int) -> None:
    rows = walk(length, 16, 5)
    tree = dendrogram(rows)
    assert tree.rows.shape == tree.costs.shape == (length - 1,)
    for count in range(1, length + 1):
        starts = sorted([0, *tree.rows[length - count :].tolist()])
        assert starts == [part.first for part in segment(rows, count=count)]
    spread = ((rows.astype(np.float64) - rows.astype(np.float64).mean(0)) ** 2).sum()
    np.testing.assert_allclose(tree.costs.sum(), spread)  # each join's cost is what it adds to the spread within


def test_a_row_that_is_not_finite_is_named() -> None:
    rows = walk(9, 16, 6)
    rows[4, 3] = np.nan
    for call in (lambda: chain_ward(rows, 2), lambda: chain_ward_joins(rows), lambda: chain_ward(rows[4:5], 1)):
        with pytest.raises(InputError, match=r"row \d is not finite"):
            call()


def test_a_threshold_cuts_where_neighbours_differ_and_rows_are_the_default_times() -> None:
    rows = np.repeat(np.eye(3), [2, 3, 1], axis=0)
    found = segment(rows.tolist(), threshold=0.3)
    assert [(part.start, part.end) for part in found] == [(0, 2), (2, 5), (5, 5)]
    assert [part.embedding.tolist() for part in found] == np.eye(3).tolist()
    assert len(segment(rows, threshold=4)) == 1


ROWS = np.eye(3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"embeddings": None, "count": 1}, r"embeddings must be an array \[N, E\] of numbers, got None"),
        ({"embeddings": ROWS[0], "count": 1}, "embeddings"),
        ({"embeddings": [[1], [1, 2]], "count": 1}, "embeddings"),
        ({"embeddings": ROWS + 1j, "count": 1}, "embeddings"),
        ({"embeddings": ROWS > 0, "count": 1}, "embeddings"),
        ({"embeddings": [["1"]], "count": 1}, "embeddings"),
        ({"embeddings": ROWS * np.nan, "count": 1}, "finite"),
        ({"embeddings": ROWS * 1e300, "count": 1}, "finite"),
        ({"embeddings": ROWS[:0], "count": 1}, "at least one row"),
        ({"times": [0, 1]}, "times must be 3 numbers"),
        ({"times": [0, 2, 1]}, "times must be 3 numbers that do not fall"),
        ({"times": [0, 1, np.inf]}, "times must be finite"),
        ({"times": "abc"}, "times"),
        ({"count": None}, "either count or threshold"),
        ({"threshold": 0.1}, "either count or threshold"),
        ({"count": 0}, "count must be an integer, 1 to 3, got 0"),
        ({"count": 4}, "count"),
        ({"count": 2.0}, "count"),
        ({"count": True}, "count"),
        ({"count": None, "threshold": -1}, "threshold must be at least 0, got -1"),
        ({"count": None, "threshold": np.nan}, "threshold"),
        ({"count": None, "threshold": "0.3"}, "threshold must be a number, got '0.3'"),
    ],
)
def test_what_makes_no_segments_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        segment(**{"embeddings": ROWS, "count": 1} | arguments)
