"""The logistic curve: from a score to a probability, and fitted to examples. Pure NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.float64]
_STEPS = 100  # of Newton's method, which needs about ten


def logistic(logits: _Array) -> _Array:
    """1 / (1 + exp(-logits)), which overflows nowhere."""
    return np.asarray(np.exp(-np.logaddexp(0, -logits)), np.float64)


def fit_logistic(scores: _Array, hits: NDArray[np.bool_], shares: _Array, count: float) -> tuple[float, float]:
    """Slope and offset for which 1 / (1 + exp(-(slope * score + offset))) are the probabilities of hits (Platt 1999).

    All arrays [N]. shares: weights of the rows. count: how many independent rows there are; with the mean rate they say
    how far the aims stay away from 0 and 1, so that rows that are told apart without an error give no endless slope.
    The slope is 0 where higher scores are no likelier hits, and where all scores are the same but for rounding: the
    probability is then the rate of hits.
    """
    share = shares / shares.sum()
    rate = float(share @ hits)
    positive, negative = rate * count, (1 - rate) * count
    aims = np.where(hits, (positive + 1) / (positive + 2), 1 / (negative + 2))
    smooth = float(share @ aims)
    level = float(np.log(smooth / (1 - smooth)))
    middle = float(share @ scores)
    spread = float(np.sqrt(share @ (scores - middle) ** 2))
    if spread <= 1e-12 * max(1.0, abs(middle)):
        return 0.0, level
    design = np.stack([(scores - middle) / spread, np.ones_like(scores)], 1)
    found = np.array([0.0, level])
    loss = _loss(design @ found, aims, share)
    for _ in range(_STEPS):
        chances = logistic(design @ found)
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
        return 0.0, level
    return float(slope), float(found[1] - slope * middle)


def _loss(logits: _Array, aims: _Array, share: _Array) -> float:
    """Mean cross-entropy."""
    return float(share @ (np.logaddexp(0, logits) - aims * logits))
