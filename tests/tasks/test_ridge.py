"""The closed forms are what scikit-learn and refits without a group give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV

from vljepa_edge.tasks.ridge import STRENGTHS, fit_logistic, fit_ridge


def problem(seed: int, count: int, width: int, groups: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, width)) * rng.uniform(0.1, 3, width)
    targets = np.stack([rows[:, 0] + rng.normal(size=count), np.sign(rows[:, -1])], 1)
    group = np.concatenate([np.arange(groups), rng.integers(0, groups, count - groups)])
    return rows, targets, rng.uniform(0.2, 2, count), group


@settings(max_examples=25)
@given(st.integers(0, 999), st.sampled_from([(12, 5, 4), (9, 30, 9), (40, 6, 7), (8, 8, 2)]))
def test_weights_and_held_out_scores_are_those_of_refits(seed: int, sizes: tuple[int, int, int]) -> None:
    rows, targets, shares, groups = problem(seed, *sizes)
    found = fit_ridge(rows, targets, shares, groups)

    def refit(kept: np.ndarray) -> Ridge:
        share = shares / shares.sum()  # the strength is for shares that sum to 1 over all rows
        centred = np.sqrt(share)[:, None] * (rows - share @ rows)
        return Ridge(found.strength * (centred**2).sum()).fit(rows[kept], targets[kept], share[kept])

    whole = refit(np.ones(len(rows), bool))
    np.testing.assert_allclose(found.weights, whole.coef_.T, atol=1e-6 * np.abs(whole.coef_).max())
    np.testing.assert_allclose(found.bias, whole.intercept_, atol=1e-6)
    for group in np.unique(groups):
        expected = refit(groups != group).predict(rows[groups == group])
        np.testing.assert_allclose(found.held_out[groups == group], expected, rtol=1e-5, atol=1e-5)


def test_the_strength_is_the_best_for_rows_left_out() -> None:
    rows, targets, _, _ = problem(3, 30, 12, 30)
    total = ((rows - rows.mean(0)) ** 2).sum()
    for target in targets.T:
        found = fit_ridge(rows, target[:, None], np.ones(30), np.arange(30))
        oracle = RidgeCV([strength * total for strength in STRENGTHS]).fit(rows, target)
        assert found.strength * total == pytest.approx(oracle.alpha_)


def test_rows_that_are_all_the_same_give_their_mean() -> None:
    found = fit_ridge(np.ones((6, 4)), np.eye(2)[[0, 0, 1, 1, 1, 1]], np.ones(6), np.arange(6))
    assert not found.weights.any()
    np.testing.assert_allclose(found.bias, [1 / 3, 2 / 3])


@settings(max_examples=30)
@given(st.integers(0, 999), st.floats(0.3, 4), st.integers(10, 200))
def test_probabilities_are_those_of_a_logistic_regression(seed: int, noise: float, count: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=200) + 3
    hits = scores + noise * rng.normal(size=200) > 3.5
    hits[:2] = True, False
    shares = rng.uniform(0.1, 2, 200)
    slope, offset = fit_logistic(scores, hits, shares, count)
    rate = shares @ hits / shares.sum()
    aims = np.where(hits, (rate * count + 1) / (rate * count + 2), 1 / ((1 - rate) * count + 2))
    # Aims between 0 and 1 are two rows each, of which one is a hit.
    doubled, twice = np.concatenate([scores, scores])[:, None], np.repeat([1, 0], 200)
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000).fit(
        doubled, twice, np.concatenate([shares * aims, shares * (1 - aims)])
    )
    if oracle.coef_[0, 0] > 0:
        assert slope == pytest.approx(oracle.coef_[0, 0], rel=1e-3, abs=1e-3)
        assert offset == pytest.approx(oracle.intercept_[0], rel=1e-3, abs=3e-3)
    else:
        assert slope == 0


@given(st.integers(2, 30), st.booleans())
def test_scores_that_tell_all_apart_or_nothing_give_bounded_slopes(count: int, informative: bool) -> None:
    hits = np.arange(2 * count) % 2 == 1
    scores = hits.astype(float) if informative else np.ones(2 * count)
    slope, offset = fit_logistic(scores, hits, np.ones(2 * count), 2.0 * count)
    chances = 1 / (1 + np.exp(-(slope * scores + offset)))
    expected = np.where(hits, (count + 1) / (count + 2), 1 / (count + 2)) if informative else np.full(2 * count, 0.5)
    np.testing.assert_allclose(chances, expected, atol=1e-4)


def test_scores_that_point_the_wrong_way_are_not_believed() -> None:
    hits = np.arange(40) % 4 == 0
    slope, offset = fit_logistic(-hits.astype(float), hits, np.ones(40), 40.0)
    assert slope == 0 and 1 / (1 + np.exp(-offset)) == pytest.approx(0.25, abs=0.03)
