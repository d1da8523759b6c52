"""The closed forms are what scikit-learn and refits without a group give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge, RidgeCV

from vljepa_edge.tasks.ridge import STRENGTHS, fit_ridge


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
