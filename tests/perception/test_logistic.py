"""Probabilities fitted to scores are those of scikit-learn's logistic regression."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from vljepa_edge.perception.logistic import fit_logistic


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
