"""The figures of the benchmarks, pure functions over arrays, each in per cent.

Proof against collapse: a tie is wrong, and so is what is not finite (see `ranks`), so a model that gives everything the
same embedding scores 0, not 100. Equal rows may differ in their last bits: scores within 1e-6 of each other tie.
Each raises InputError where nothing is to be measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vljepa_edge.errors import InputError
from vljepa_edge.evaluation.ranks import NOWHERE, first, ranks

_ROWS = 1024  # texts that are compared with all videos at once
_ROUNDING = 1e-6


def share(right: ArrayLike) -> float:
    """How many are true. right (n,) bool."""
    answers = np.asarray(right, bool)
    if not answers.size:
        raise InputError("a figure needs at least one item, got none")
    return 100.0 * float(answers.mean())


def top_k(scores: ArrayLike, right: ArrayLike, k: int) -> float:
    """Top-k accuracy: how often fewer than k wrong classes score at least as high as the right one.

    scores (n, c), higher is better; right (n,) class numbers.
    """
    return share(ranks(scores, right) < k)


def class_mean_recall(scores: ArrayLike, right: ArrayLike, k: int) -> float:
    """Recall@k of EPIC-KITCHENS-100: for each class that occurs the share of its items that have it among the top k;
    of those shares the mean."""
    wanted = np.asarray(right)
    hit = ranks(scores, wanted) < k
    share(hit)
    return float(np.mean([share(hit[wanted == label]) for label in np.unique(wanted)]))


def retrieval_ranks(texts: NDArray[Any], videos: NDArray[Any], owners: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """(t,): how many wrong videos are at least as near to each text as the nearest right one; 0 is first.

    texts (t, E), videos (v, E); owners: the numbers of the videos that are right for each text. A video whose row is
    not finite, or zero, is found by no text: its own have rank NOWHERE, and it stands in the way of no other's. So has
    a text that no wrong video is left to.
    """
    found = np.empty(len(texts), np.int64)
    there = seen(videos)
    for begin in range(0, len(texts), _ROWS):
        rows = slice(begin, begin + _ROWS)
        right = np.zeros((len(owners[rows]), len(videos)), bool)
        for row, own in enumerate(owners[rows]):
            right[row, list(own)] = True
        rank = ranks(cosines(texts[rows], videos[there]), right[:, there])
        found[rows] = np.where((~right[:, there]).any(1), rank, NOWHERE)
    return found


def seen(videos: NDArray[Any]) -> NDArray[np.bool_]:
    """(v,): which rows of embeddings (v, E) have a direction: they are finite, and not zero."""
    found: NDArray[np.bool_] = np.asarray(np.isfinite(_unit(videos)).all(1))
    return found


def retrieval(rank: NDArray[np.int64], videos: int, rivals: int) -> dict[str, float]:
    """R@1, R@5, R@10 and the median rank (1 is first, not per cent) of what `retrieval_ranks` gives for so many videos.
    A rank NOWHERE is behind the last. rivals: the fewest wrong videos that a text can find."""
    found = {f"R@{k}": share(rank < k) for k in telling((1, 5, 10), rivals + 1)}
    return found | {"median rank": float(np.median(np.minimum(rank, videos))) + 1.0}


def telling(ks: Sequence[int], candidates: int) -> list[int]:
    """Those k, and 1, at which a top k can miss: of five candidates all are among five."""
    return [k for k in ks if k == 1 or k < candidates]


def hard_negatives(first_: NDArray[Any], second: NDArray[Any], negative: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,): whether the two positives are nearer to each other than either is to the negative, strictly.

    Three arrays (n, E) of embeddings; they need not be of unit norm, and a zero row is wrong.
    """
    p1, p2, n = (_unit(rows) for rows in (first_, second, negative))
    together, one, two = ((a * b).sum(1) for a, b in ((p1, p2), (p1, n), (p2, n)))
    right: NDArray[np.bool_] = (together > one + _ROUNDING) & (together > two + _ROUNDING)
    return right


def answers(scores: Sequence[NDArray[Any]], right: Sequence[int]) -> NDArray[np.bool_]:
    """(n,): whether the right candidate is ahead of all others. scores: for each question one per candidate."""
    return np.array([bool(first(row[None], [place])[0]) for row, place in zip(scores, right, strict=True)], bool)


def binary_f1(right: NDArray[np.bool_], positive: NDArray[np.bool_]) -> float:
    """F1 of yes-or-no answers with yes as the positive; right: which were answered right, positive: where yes is."""
    share(right)
    hits = int((right & positive).sum())
    wrong = int((~right).sum())
    return 100.0 * 2 * hits / (2 * hits + wrong) if hits else 0.0


def by_group(values: Mapping[str, float], name: str = "mean") -> dict[str, float]:
    """The figures of groups, and their unweighted mean in front."""
    return {name: float(np.mean(list(values.values()))), **values}


def cosines(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.float32]:
    """(l, r) cosines; NaN where a row is zero or not finite."""
    found: NDArray[np.float32] = units(left) @ units(right).T
    return found


def units(rows: NDArray[Any]) -> NDArray[np.float32]:
    """(n, E) rows of length 1; NaN where one is zero or not finite."""
    return _unit(rows).astype(np.float32)


def _unit(rows: NDArray[Any]) -> NDArray[np.float64]:
    exact = np.asarray(rows, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled: NDArray[np.float64] = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    return scaled
