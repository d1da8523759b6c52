"""Ranks and shares against scikit-learn and plain loops; what knows nothing scores at chance or below."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import top_k_accuracy_score

from vljepa_edge.errors import InputError
from vljepa_edge.evaluation import ranks as ranking

SCORES = st.one_of(st.integers(-3, 3).map(float), st.sampled_from([math.nan, math.inf, -math.inf]))
TABLES = st.tuples(st.integers(1, 4), st.integers(1, 6)).flatmap(
    lambda shape: st.tuples(arrays(np.float32, shape, elements=SCORES), arrays(np.bool_, shape))
)


def counted(scores: np.ndarray, right: np.ndarray) -> list[int]:
    """What `ranks` says, in loops over plain numbers."""
    found = []
    for row, wanted in zip(scores.tolist(), right.tolist(), strict=True):
        best = max((s for s, w in zip(row, wanted, strict=True) if w and math.isfinite(s)), default=None)
        wrong = [s for s, w in zip(row, wanted, strict=True) if not w]
        above = [s for s in wrong if best is None or not math.isfinite(s) or s >= best]
        found.append(2**63 - 1 if best is None else len(above))
    return found


@given(TABLES)
def test_a_rank_counts_the_wrong_candidates_that_are_not_below_the_best_right_one(
    table: tuple[np.ndarray, np.ndarray],
) -> None:
    assert ranking.ranks(*table).tolist() == counted(*table)


@given(st.integers(0, 2**32 - 1), st.integers(3, 40), st.integers(1, 5))
def test_without_ties_the_share_within_the_first_k_is_that_of_scikit_learn(seed: int, wide: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.stack([rng.permutation(wide) for _ in range(20)]).astype(float)
    right = rng.integers(0, wide, 20)
    expected = 1.0 if k >= wide else top_k_accuracy_score(right, scores, k=k, labels=range(wide))
    assert np.mean(ranking.ranks(scores, right) < k) == pytest.approx(expected)


def test_one_number_a_row_and_a_mask_with_one_true_are_the_same() -> None:
    scores = np.random.default_rng(0).normal(size=(30, 7))
    right = np.arange(30) % 7
    assert ranking.ranks(scores, right).tolist() == ranking.ranks(scores, np.eye(7, dtype=bool)[right]).tolist()


def test_a_tie_between_right_candidates_is_none() -> None:
    assert ranking.first([[2.0, 2.0, 1.0]], np.array([[True, True, False]])).tolist() == [True]
    assert ranking.first([[2.0, 2.0, 2.0]], np.array([[True, True, False]])).tolist() == [False]


@pytest.mark.parametrize("right", range(3))
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, math.nan, math.inf, -math.inf])
def test_equal_scores_are_never_right(value: float, right: int) -> None:
    scores = np.full((4, 3), value)
    assert not ranking.first(scores, [right] * 4).any()
    assert not (ranking.ranks(scores, [right] * 4) < 2).any()


@pytest.mark.parametrize("count", [2, 5, 17, 33, 1000])
def test_equal_embeddings_tie_though_their_products_are_rounded_differently(count: int) -> None:
    rng = np.random.default_rng(count)
    texts = np.tile(rng.normal(size=384).astype(np.float32), (count, 1))
    scores = rng.normal(size=(50, 384)).astype(np.float32) @ texts.T
    scores[:, 0] = np.nextafter(scores[:, 0], np.inf)
    assert not ranking.first(scores, np.zeros(50, int)).any()


def test_half_of_the_candidates_tied_with_the_right_one_is_wrong() -> None:
    scores = np.array([[3.0, 3.0, 1.0, 0.0], [3.0, 2.0, 1.0, 0.0]])
    assert ranking.ranks(scores, [0, 0]).tolist() == [1, 0]


def test_a_single_candidate_is_first_unless_its_score_is_not_finite() -> None:
    assert ranking.first([[0.0], [math.nan]], [0, 0]).tolist() == [True, False]


@pytest.mark.parametrize(
    ("right", "share"), [([True], 100.0), ([False, True], 50.0), ([True, False, False], 33.3), (np.zeros(4, bool), 0.0)]
)
def test_percent(right: list[bool], share: float) -> None:
    assert ranking.percent(right) == share


def test_a_share_of_nothing_is_an_error_and_no_number() -> None:
    with pytest.raises(InputError, match="at least one answer, got none"):
        ranking.percent([])


@given(st.lists(st.tuples(SCORES, st.booleans()), min_size=1, max_size=12))
def test_the_best_threshold_is_the_best_of_all(pairs: list[tuple[float, bool]]) -> None:
    scores, yes = np.array([score for score, _ in pairs]), np.array([answer for _, answer in pairs])
    tried = [
        sum(math.isfinite(score) and (score > threshold) == answer for score, answer in pairs) / len(pairs)
        for threshold in (-9.0, *scores[np.isfinite(scores)])
    ]
    assert ranking.best_threshold(scores, yes) == round(100 * max(tried), 1)


@pytest.mark.parametrize("order", [1, -1])
def test_no_threshold_tells_equal_scores_apart(order: int) -> None:
    yes = np.repeat([True, False], 8)[::order]
    assert ranking.best_threshold(np.ones(16), yes) == 50.0
    assert ranking.best_threshold(np.full(16, math.nan), yes) == 0.0
