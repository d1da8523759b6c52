"""Calibrators are those of scikit-learn, and what is measured of them is what its formulas give."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vljepa_edge.errors import InputError
from vljepa_edge.perception.confidence import probability
from vljepa_edge.training.confidence import (
    Binning,
    auc,
    brier,
    choose_min_confidence,
    draw_reliability,
    expected_calibration_error,
    fit_isotonic,
    fit_logistic,
    reliability,
)

pytest.importorskip("sklearn")

Drawn = tuple[NDArray[np.float64], NDArray[np.bool_]]


@st.composite
def examples(draw: st.DrawFn) -> Drawn:
    """Numbers between -1 and 1, with ties, and whether each was right."""
    grid = draw(st.sampled_from([1e-3, 0.1, 0.5]))
    count = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    numbers = np.round(rng.uniform(-1, 1, count) / grid) * grid
    return numbers, rng.random(count) < 1 / (1 + np.exp(-rng.normal() - rng.normal(scale=5) * numbers))


def cosines(count: int = 4000, slope: float = 12.0, offset: float = -5.0) -> Drawn:
    rng = np.random.default_rng(0)
    numbers = rng.uniform(0, 0.9, count)
    return numbers, rng.random(count) < 1 / (1 + np.exp(-(slope * numbers + offset)))


# --- fitting ---


@settings(max_examples=60)
@given(examples())
def test_the_logistic_calibrator_is_scikit_learns_with_platts_targets(drawn: Drawn) -> None:
    from sklearn.linear_model import LogisticRegression

    numbers, right = drawn
    entry = fit_logistic(numbers, right)
    positive, negative = right.sum(), (~right).sum()
    targets = np.where(right, (positive + 1) / (positive + 2), 1 / (negative + 2))
    twice = np.concatenate([numbers, numbers])[:, None]
    labels = np.repeat([1, 0], len(numbers))
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)
    oracle.fit(twice, labels, sample_weight=np.concatenate([targets, 1 - targets]))
    if oracle.coef_[0, 0] > 1e-3 and np.ptp(numbers) > 1e-6:
        expected = oracle.predict_proba(numbers[:, None])[:, 1]
    else:
        expected = np.full(len(numbers), targets.mean())
    np.testing.assert_allclose(probability(entry, numbers), expected, atol=2e-4)


def test_a_logistic_calibrator_finds_the_curve_that_the_examples_are_of() -> None:
    entry = fit_logistic(*cosines(200_000))
    assert (entry.slope, entry.offset) == (pytest.approx(12, abs=0.3), pytest.approx(-5, abs=0.15))


def test_few_examples_that_a_threshold_tells_apart_make_no_certainty() -> None:
    numbers, right = np.array([0.1, 0.2, 0.6, 0.7]), np.array([False, False, True, True])
    low, high = probability(fit_logistic(numbers, right), [0.1, 0.7])
    assert 0.2 < low < 0.5 < high < 0.8


@pytest.mark.parametrize("numbers", [[0.5], [0.3, 0.3, 0.3], [0.1, 0.2, 0.9]])
def test_where_a_number_tells_nothing_the_probability_is_the_same_everywhere(numbers: list[float]) -> None:
    right = np.array([True, True, False][: len(numbers)])
    entry = fit_logistic(numbers, right)
    assert entry.slope == 0.0
    assert 0 < float(probability(entry, 0.4)) < 1


@settings(max_examples=100)
@given(examples())
def test_the_isotonic_calibrator_is_scikit_learns(drawn: Drawn) -> None:
    from sklearn.isotonic import IsotonicRegression

    numbers, right = drawn
    entry = fit_isotonic(numbers, right)
    oracle = IsotonicRegression(out_of_bounds="clip").fit(numbers, right.astype(float))
    asked = np.concatenate([numbers, np.linspace(-1.5, 1.5, 31)])
    np.testing.assert_allclose(probability(entry, asked), oracle.predict(asked), atol=1e-9)
    assert len(entry.knots) <= len(set(numbers.tolist()))


# --- measuring ---


@settings(max_examples=60)
@given(examples(), st.integers(1, 20))
def test_ece_is_that_of_scikit_learns_bins(drawn: Drawn, bins: int) -> None:
    from sklearn.calibration import calibration_curve

    confidence, right = np.abs(drawn[0]), drawn[1]
    ways: list[tuple[Binning, str]] = [("width", "uniform"), ("count", "quantile")]
    for binning, strategy in ways:
        rows = reliability(confidence, right, bins, binning)
        true, told = calibration_curve(right, confidence, n_bins=bins, strategy=strategy)
        np.testing.assert_allclose([row[1] for row in rows], true, atol=1e-9)
        np.testing.assert_allclose([row[0] for row in rows], told, atol=1e-9)
        assert sum(count for _, _, count in rows) == len(right)
        exact = sum(count * abs(a - b) for (_, _, count), a, b in zip(rows, true, told, strict=True)) / len(right)
        assert expected_calibration_error(confidence, right, bins, binning) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("binning", ["width", "count"])
def test_ece_of_what_is_calibrated_is_small_and_of_what_is_too_sure_is_the_difference(binning: Binning) -> None:
    numbers, right = cosines(50_000)
    told = 1 / (1 + np.exp(-(12 * numbers - 5)))
    assert expected_calibration_error(told, right, binning=binning) < 0.01
    assert expected_calibration_error(probability(fit_isotonic(numbers, right), numbers), right, binning=binning) < 0.01
    sure = np.full(10, 0.9)
    assert expected_calibration_error(sure, np.arange(10) < 6, binning=binning) == pytest.approx(0.3)


@settings(max_examples=60)
@given(examples())
def test_auc_and_brier_are_scikit_learns(drawn: Drawn) -> None:
    from sklearn.metrics import brier_score_loss, roc_auc_score

    numbers, right = drawn
    if right.all() or not right.any():
        assert math.isnan(auc(numbers, right))
    else:
        assert auc(numbers, right) == pytest.approx(roc_auc_score(right, numbers), abs=1e-12)
    told = np.abs(numbers)
    assert brier(told, right) == pytest.approx(brier_score_loss(right, told, labels=[False, True]), abs=1e-12)


# --- the least confidence ---


@settings(max_examples=100)
@given(examples(), st.floats(0.05, 1))
def test_the_least_confidence_is_the_lowest_that_keeps_the_promise(drawn: Drawn, wanted: float) -> None:
    told, right = np.abs(drawn[0]), drawn[1]
    least = choose_min_confidence(told, right, wanted)
    shown = [(value, told >= value) for value in sorted({*told.tolist()})]
    keeps = [value for value, chosen in shown if right[chosen].sum() >= wanted * chosen.sum()]
    assert least == (keeps[0] if keeps else 1.0)


def test_the_fallback_counts_among_what_is_shown() -> None:
    told, right = np.array([0.9, 0.4, 0.3]), np.array([True, False, False])
    assert choose_min_confidence(told, right) == 0.9
    assert choose_min_confidence(told, right, 0.3) == 0.3
    general = np.array([0.95, 0.6, 0.5]), np.array([True, True, True])
    assert choose_min_confidence(told, right, fallback=general) == 0.5, "at 0.4 two in three are right, at 0.5 all"
    wrong = np.array([0.95, 0.6, 0.5]), np.array([True, False, False])
    assert choose_min_confidence(told, right, fallback=wrong) == 0.9


# --- the plot, and what is refused ---


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    numbers, right = cosines(500)
    parts = [("captions", probability(fit_logistic(numbers, right), numbers), right)] * 2
    draw_reliability(parts, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["plot.png"]
    with pytest.raises(InputError, match="parts must be one or more"):
        draw_reliability([], tmp_path / "none.png")


@pytest.mark.parametrize(
    ("numbers", "right"),
    [
        ([], np.array([], bool)),
        ([0.1, math.nan], np.array([True, False])),
        ([0.1, math.inf], np.array([True, False])),
        ([0.1, 0.2], np.array([True])),
        ([0.1, 0.2], np.array([1, 0])),
        ([[0.1, 0.2]], np.array([[True, False]])),
    ],
    ids=str,
)
def test_arrays_that_do_not_fit_are_refused(numbers: Any, right: Any) -> None:
    for function in (fit_logistic, fit_isotonic, expected_calibration_error, brier, auc, choose_min_confidence):
        with pytest.raises(InputError, match="numbers"):
            function(numbers, right)
    with pytest.raises(InputError, match="fallback must have as many"):
        choose_min_confidence([0.1, 0.2], np.array([True, False]), fallback=([0.1], np.array([True])))
