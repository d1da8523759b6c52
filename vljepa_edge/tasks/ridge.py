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
