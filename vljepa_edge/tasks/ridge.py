"""Ridge regression in closed form, whose strength is chosen by leaving out one group of rows after the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.float64]
STRENGTHS = tuple(10.0 ** np.arange(-5.0, 1.5, 0.5))
"""What is tried, as shares of the total variance of the rows."""


class Ridge(NamedTuple):
    """scores = rows @ weights + bias. `held_out`: what each row scores when its group is left out of the fit."""

    weights: _Array  # [F, K]
    bias: _Array  # [K]
    strength: float
    held_out: _Array  # [N, K]


def fit_ridge(rows: _Array, targets: _Array, shares: _Array, groups: NDArray[np.int64]) -> Ridge:
    """The ridge of `targets` [N, K] on `rows` [N, F] with an intercept, which is not penalised.

    shares: the weight of each row in the loss, [N], above 0. groups: [N]; rows of one group are left out together, at
    least two groups. The strength is that of STRENGTHS with the least squared error on rows left out.

    With row weights w that sum to 1 and centred, weighted rows A = sqrt(w) (X - mean), the hat matrix is
    H = q q' + A (A'A + strength)^-1 A', q = sqrt(w), and the residuals of a group that is left out are
    (I - H_gg)^-1 times those of the complete fit: nothing is fitted twice.
    """
    share = shares / shares.sum()
    root = np.sqrt(share)[:, None]
    mean, level = share @ rows, share @ targets
    left, values, right = _decompose(root * (rows - mean))
    aims = root * (targets - level)
    turned = left.T @ aims
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    best: tuple[float, float, _Array] | None = None
    for strength in STRENGTHS:
        kept = values / (values + strength * values.sum()) if len(values) else values
        residuals = aims - left @ (kept[:, None] * turned)
        for own in members:
            hat = root[own] @ root[own].T + (left[own] * kept) @ left[own].T
            residuals[own] = np.linalg.solve(np.eye(len(own)) - hat, residuals[own])
        error = float((residuals**2).sum())
        if best is None or error <= best[0]:
            best = error, strength, targets - residuals / root
    assert best is not None
    _, strength, held_out = best
    scales = np.sqrt(values) / (values + strength * values.sum()) if len(values) else values
    weights = right @ (scales[:, None] * turned)
    return Ridge(weights, level - mean @ weights, strength, held_out)


def _decompose(rows: _Array) -> tuple[_Array, _Array, _Array]:
    """Left vectors [N, R], squared singular values [R] and right vectors [F, R], by the smaller of the Gram matrices.

    Directions with less than 1e-10 of the largest square are left out: they are rounding.
    """
    wide = rows.shape[0] <= rows.shape[1]
    values, vectors = np.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)
    kept = values > 1e-10 * max(float(values[-1]), 1e-300)
    values, vectors = values[kept], vectors[:, kept]
    other = (rows.T if wide else rows) @ vectors / np.sqrt(values)
    return (vectors, values, other) if wide else (other, values, vectors)


def fit_logistic(scores: _Array, hits: NDArray[np.bool_], shares: _Array, count: float) -> tuple[float, float]:
    """Slope and offset for which 1 / (1 + exp(-(slope * score + offset))) are the probabilities of hits (Platt 1999).

    All arrays [N]. shares: weights of the rows. count: how many independent rows there are; with the mean rate they say
    how far the aims stay away from 0 and 1, so that rows that are told apart without an error give no endless slope.
    The slope is 0 where higher scores are no likelier hits: the probability is then the rate of hits.
    """
    share = shares / shares.sum()
    rate = float(share @ hits)
    positive, negative = rate * count, (1 - rate) * count
    aims = np.where(hits, (positive + 1) / (positive + 2), 1 / (negative + 2))
    middle, spread = float(share @ scores), max(float(np.sqrt(share @ (scores - share @ scores) ** 2)), 1e-12)
    design = np.stack([(scores - middle) / spread, np.ones_like(scores)], 1)
    smooth = float(share @ aims)
    found = np.array([0.0, np.log(smooth / (1 - smooth))])
    loss = _loss(design @ found, aims, share)
    for _ in range(100):
        chances = 1 / (1 + np.exp(-design @ found))
        gradient = design.T @ (share * (chances - aims))
        curve = (design * (share * chances * (1 - chances))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(curve, gradient)
        length = 1.0
        while (new := _loss(design @ (found - length * step), aims, share)) > loss and length > 1e-6:
            length /= 2
        found, drop, loss = found - length * step, loss - new, new
        if drop < 1e-12:
            break
    slope = found[0] / spread
    if slope <= 0:
        return 0.0, float(np.log(smooth / (1 - smooth)))
    return float(slope), float(found[1] - slope * middle)


def _loss(logits: _Array, aims: _Array, share: _Array) -> float:
    """Mean cross-entropy."""
    return float(share @ (np.logaddexp(0, logits) - aims * logits))
