"""Curves of CIDEr over the rate of decoding, and what is saved at equal CIDEr."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.evaluation.selective.clocks import nearest

_ROUNDING = 1e-6
_SHIFTS = 7


class Point(NamedTuple):
    """What one setting of a way gives. setting: a rate or a threshold. rate: decodes a second. cider: mean over the
    annotations. delay: seconds, the mean over the events that were found, NaN for none. found: their share."""

    setting: float
    rate: float
    cider: float
    delay: float
    found: float


def rising(points: Sequence[Point]) -> list[tuple[float, float]]:
    """(rate, CIDEr) of a curve that never falls and lies nearest to the points (isotonic regression), by rate.

    A mean over some hundred annotations is off by a few points: read off the points themselves, a curve reaches a
    target wherever one of them happens to lie high, and uniform decoding "saves" against itself.
    """
    blocks: list[list[float]] = []  # sum, number
    curve = sorted((point.rate, point.cider) for point in points)
    for _, cider in curve:
        blocks.append([cider, 1])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            total, number = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += number
    levels = [total / number for total, number in blocks for _ in range(int(number))]
    return [(rate, level) for (rate, _), level in zip(curve, levels, strict=True)]


def rate_for(points: Sequence[Point], target: float) -> float | None:
    """The least rate at which the rising curve reaches a CIDEr, None where it never does.

    Between two points it is straight over the logarithm of the rate. Where the point of the least rate is above
    already, it is that rate.
    """
    curve = rising(points)
    for place, (rate, cider) in enumerate(curve):
        if cider >= target - _ROUNDING * max(1.0, abs(target)):
            if not place or curve[place - 1][0] == rate:
                return rate
            before, lower = curve[place - 1]
            part = min(1.0, (target - lower) / (cider - lower))
            return math.exp(math.log(before) + part * (math.log(rate) - math.log(before)))
    return None


def cider_at(points: Sequence[Point], rate: float) -> float:
    """The CIDEr of the rising curve at a rate; that of its end where the rate lies outside."""
    curve = rising(points)
    return float(np.interp(math.log(rate), [math.log(known) for known, _ in curve], [cider for _, cider in curve]))


def is_earned(target: float, chance: Sequence[float]) -> bool:
    """Whether a CIDEr is above all those of `chance`: else it takes no look at the video to reach it, and nothing is
    saved. A collapsed model, which says the same of everything, ties with chance."""
    return target > max(chance) + _ROUNDING * max(1.0, abs(target))


def shifted(annotated: NDArray[np.float64], decoded: NDArray[np.float64], seconds: float) -> list[NDArray[np.int64]]:
    """Pairings by chance: annotations that are moved along the stream, round its end, by eighths of its length."""
    moves = [seconds * k / (_SHIFTS + 1) for k in range(1, _SHIFTS + 1)]
    return [nearest(np.mod(annotated + move, seconds).tolist(), decoded) for move in moves]
