"""Ranks, shares and thresholds that figures are made of. Pure NumPy.

A tie is wrong, and so is a score that is not a finite number: a model that gives every candidate the same score knows
nothing, whichever of them comes first. Scores tie when they differ by less than the rounding of a product in fp32 does:
equal embeddings may give scores that differ in their last bits. What is rounded are the terms of the product, which are
large where the score is small, too: cosines tie within 1e-6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vljepa_edge.errors import InputError

_ROUNDING = 1e-6
"""Of the largest score, and of 1 at least: what two equal embeddings' scores may differ by."""
NOWHERE = np.iinfo(np.int64).max
"""The rank of what is in no top k, however large k is."""


def ranks(scores: ArrayLike, right: ArrayLike) -> NDArray[np.int64]:
    """(n,): how many wrong candidates score at least as high as the best right one; 0 is first.

    scores (n, c), higher is better. right: (n,) the number of the right candidate, or (n, c) bool where several are
    right. A wrong candidate whose score is not finite counts as at least as high. A row without a right candidate that
    has a finite score has rank NOWHERE.
    """
    table, wanted = np.asarray(scores, np.float64), np.asarray(right)
    if wanted.dtype != np.bool_:
        wanted = wanted[:, None] == np.arange(table.shape[1])
    finite = np.isfinite(table)
    best = np.where(wanted & finite, table, -np.inf).max(1, initial=-np.inf)
    rounding = _ROUNDING * np.where(finite, np.abs(table), 0.0).max(1, initial=1.0)
    at_least_as_high = ~wanted & (~finite | (table >= (best - rounding)[:, None]))
    found: NDArray[np.int64] = np.where(np.isneginf(best), NOWHERE, at_least_as_high.sum(1))
    return found


def first(scores: ArrayLike, right: ArrayLike) -> NDArray[np.bool_]:
    """(n,) bool: whether a right candidate is ahead of every wrong one. Arguments as those of `ranks`."""
    return np.equal(ranks(scores, right), 0)


def winner(scores: ArrayLike) -> int | None:
    """The number of the candidate that is ahead of all others; None where none is. scores (c,), higher is better."""
    row = np.asarray(scores)
    best = int(np.argmax(row))
    return best if first(row[None], [best]).all() else None


def percent(right: Sequence[bool] | NDArray[np.bool_]) -> float:
    """Share of true, in per cent to one decimal. Raises InputError for no answers at all, which have no share."""
    answers = np.asarray(right, bool)
    if not len(answers):
        raise InputError("a figure needs at least one answer, got none; draw more clips")
    return round(100.0 * float(answers.mean()), 1)


def best_threshold(scores: NDArray[Any], yes: NDArray[np.bool_]) -> float:
    """The most that are right, in per cent, when scores above a threshold mean yes.

    Scores that tie are on the same side of every threshold. A score that is not finite is on neither, so it is wrong.
    """
    _, right = _cuts(scores, yes)
    return round(100.0 * float(right.max()) / len(yes), 1)


def best_cut(scores: NDArray[Any], yes: NDArray[np.bool_]) -> float:
    """The threshold above which scores mean yes so that the most are right: half-way between two scores that differ,
    or infinite, where it is best to say the same of all. Of equally good ones the lowest. As in `best_threshold`."""
    cuts, right = _cuts(scores, yes)
    return float(cuts[int(right.argmax())])


def _cuts(scores: NDArray[Any], yes: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Every threshold that tells scores apart, lowest first, and how many are right with each."""
    finite = np.isfinite(scores)
    order = np.argsort(scores[finite], kind="stable")
    values, ordered = scores[finite][order].astype(np.float64), yes[finite][order]
    no_below = np.concatenate([[0], np.cumsum(~ordered)])
    yes_above = ordered.sum() - np.concatenate([[0], np.cumsum(ordered)])
    between = np.ones(len(values) + 1, bool)  # a threshold lies below all, above all, or between two that differ
    between[1:-1] = np.diff(values) > _ROUNDING * np.abs(values).max(initial=1.0)
    middles = 0.5 * (values[1:] + values[:-1])
    cuts = np.concatenate([[-np.inf], middles, [np.inf]]) if len(values) else np.array([-np.inf])
    return cuts[between], (no_below + yes_above)[between]
