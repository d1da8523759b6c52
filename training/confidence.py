"""From cosines to probabilities: fitting calibrators, and measuring them. Pure NumPy, but for the plot.

A calibrator is what a bundle's manifest holds and vljepa_edge.perception.confidence reads. Here `numbers` (n,) are what
it judges by, such as cosines, `right` (n,) bool is whether the text was right, `confidence` (n,) what came out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vljepa_edge.bundle.confidence import IsotonicEntry, LogisticEntry
from vljepa_edge.errors import InputError
from vljepa_edge.perception.logistic import fit_logistic as fit
from vljepa_edge.support.atomic import replacing

Binning = Literal["width", "count"]
BINS = 15

_STEEPEST = 1e4  # of a slope: beyond it a calibrator is a threshold


def fit_logistic(numbers: ArrayLike, right: ArrayLike) -> LogisticEntry:
    """The logistic calibrator of the largest likelihood, with Platt's targets (1999): (n+ + 1) / (n+ + 2) for right and
    1 / (n- + 2) for wrong in place of 1 and 0, which keeps it from being sure after a few examples that a threshold
    tells apart. Where a higher number is not more probable the slope is 0. Raises InputError for arrays that don't fit.
    """
    given, yes = _checked(numbers, right)
    slope, offset = fit(given, yes, np.ones(len(given)), float(len(given)))
    steep = min(slope, _STEEPEST)
    return LogisticEntry(kind="logistic", slope=steep, offset=offset + (slope - steep) * float(given.mean()))


def fit_isotonic(numbers: ArrayLike, right: ArrayLike) -> IsotonicEntry:
    """The rising calibrator of the least squared error: pool adjacent violators. Its knots are the ends of the pools.

    Equal numbers share a probability. Raises InputError for arrays that don't fit.
    """
    given, yes = _checked(numbers, right)
    places, first, counts = np.unique(given, return_inverse=True, return_counts=True)
    sums = np.bincount(first, weights=yes.astype(np.float64), minlength=len(places))
    pools: list[tuple[float, int, int, int]] = []  # sum, count, first and last place
    for place, (total, count) in enumerate(zip(sums.tolist(), counts.tolist(), strict=True)):
        pools.append((total, count, place, place))
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] >= pools[-1][0] * pools[-2][1]:  # means don't rise
            later, earlier = pools.pop(), pools.pop()
            pools.append((earlier[0] + later[0], earlier[1] + later[1], earlier[2], later[3]))
    knots = []
    for total, count, begin, end in pools:
        for place in dict.fromkeys((begin, end)):
            knots.append((float(places[place]), min(max(total / count, 0.0), 1.0)))
    return IsotonicEntry(kind="isotonic", knots=tuple(knots))


def expected_calibration_error(
    confidence: ArrayLike, right: ArrayLike, bins: int = BINS, binning: Binning = "count"
) -> float:
    """ECE: the mean over all examples of how far a bin's confidence is from its share of right ones.

    Bins are of equal width between 0 and 1, or hold equally many examples; examples of one confidence stay together.
    Raises InputError for arrays that don't fit.
    """
    rows = reliability(confidence, right, bins, binning)
    total = sum(count for _, _, count in rows)
    return sum(count * abs(told - true) for told, true, count in rows) / total


def reliability(
    confidence: ArrayLike, right: ArrayLike, bins: int = BINS, binning: Binning = "width"
) -> list[tuple[float, float, int]]:
    """Of each bin that is not empty: the mean confidence, the share of right ones, and how many examples there are."""
    told, yes = _checked(confidence, right)
    shares = np.linspace(0, 1, bins + 1)
    edges = shares if binning == "width" else np.percentile(told, 100 * shares)
    number = np.searchsorted(edges[1:-1], told, side="left")
    rows = []
    for one in range(bins):
        chosen = number == one
        if chosen.any():
            rows.append((float(told[chosen].mean()), float(yes[chosen].mean()), int(chosen.sum())))
    return rows


def brier(confidence: ArrayLike, right: ArrayLike) -> float:
    """The mean squared difference between confidence and what came true: 0 for an oracle, 0.25 for always a half."""
    told, yes = _checked(confidence, right)
    return float(((told - yes) ** 2).mean())


def auc(numbers: ArrayLike, right: ArrayLike) -> float:
    """How often a right one has the higher number of a right and a wrong one, a tie counting half. NaN where there are
    only right ones or only wrong ones."""
    given, yes = _checked(numbers, right)
    positive, negative = int(yes.sum()), int((~yes).sum())
    if not positive or not negative:
        return math.nan
    _, place, counts = np.unique(given, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return float((ranks[place][yes].sum() - positive * (positive + 1) / 2) / (positive * negative))


def choose_min_confidence(
    confidences: ArrayLike,
    right: ArrayLike,
    wanted_precision: float = 0.75,
    fallback: tuple[ArrayLike, ArrayLike] | None = None,
) -> float:
    """The lowest confidence from which on at least `wanted_precision` of the texts shown are right; 1.0 where there is
    none.

    fallback: the confidence and rightness of what is shown instead of each text that is not sure enough, if that is
    sure enough itself. The lowest shows the most. Raises InputError for arrays that don't fit.
    """
    told, yes = _checked(confidences, right)
    other, other_yes = (np.full(len(told), -1.0), yes) if fallback is None else _checked(*fallback)
    if len(other) != len(told):
        raise InputError(f"the fallback must have as many confidences as there are, {len(told)}, got {len(other)}")
    for least in np.unique(np.concatenate([told, other[other >= 0]])):
        own = told >= least
        instead = ~own & (other >= least)
        if (yes[own].sum() + other_yes[instead].sum()) >= wanted_precision * (own.sum() + instead.sum()):
            return float(least)
    return 1.0


def draw_reliability(
    parts: Sequence[tuple[str, ArrayLike, ArrayLike]], picture: Path, bins: int = BINS, binning: Binning = "count"
) -> None:
    """A PNG with a reliability diagram for each part (name, confidence, right): bins as dots, as large as they are
    full, against the diagonal on which a calibrated model lies. Raises InputError for no parts."""
    from matplotlib.figure import Figure

    if not parts:
        raise InputError("parts must be one or more (name, confidence, right), got none")
    figure = Figure(figsize=(3.4 * len(parts), 3.6), layout="constrained")
    for at, (name, confidence, right) in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
        rows = np.array(reliability(confidence, right, bins, binning))
        at.plot([0, 1], [0, 1], linewidth=0.8, color="grey")
        at.scatter(rows[:, 0], rows[:, 1], s=10 + 200 * rows[:, 2] / rows[:, 2].sum())
        error = expected_calibration_error(confidence, right, bins, binning)
        at.set_title(f"{name}: ECE {error:.3f}, n = {int(rows[:, 2].sum())}", fontsize=9)
        at.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share that is right", aspect="equal")
        at.tick_params(labelsize=8)
    with replacing(picture) as part:
        figure.savefig(part, format="png", dpi=110)


def _checked(numbers: ArrayLike, right: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Both as arrays (n,) of one length, n at least 1, the numbers finite. Raises InputError."""
    given, yes = np.asarray(numbers, np.float64), np.asarray(right)
    if given.ndim != 1 or not len(given) or yes.shape != given.shape or yes.dtype != np.bool_:
        got = f"{given.shape} and {yes.dtype} {yes.shape}"
        raise InputError(f"numbers and right must be (n,) of numbers and (n,) of bool, n at least 1, got {got}")
    if not np.isfinite(given).all():
        raise InputError("numbers must be finite")
    return given, yes
