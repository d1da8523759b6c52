"""Every way over every setting on one stream: decoded, put into words, and paired with the annotations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.evaluation.selective.clocks import Clock, delays, nearest, times_on
from vljepa_edge.evaluation.selective.consensus import Cider
from vljepa_edge.evaluation.selective.curve import Point, cider_at, is_earned, shifted
from vljepa_edge.evaluation.selective.embedded import Embedded
from vljepa_edge.evaluation.selective.streams import Stream
from vljepa_edge.evaluation.selective.ways import BASE, Way, row
from vljepa_edge.support.json_numbers import number

Read = Callable[[list[NDArray[np.float32]]], list[str]]
Key = tuple[Clock, str]


class Curves(NamedTuple):
    """Of one stream or more. points: of each way, by clock and name, in the order of its settings. earned: by clock and
    name of the rows of uniform decoding, whether its CIDEr at 1 Hz is above chance."""

    points: dict[Key, list[Point]]
    earned: dict[Key, bool]

    def target(self, clock: Clock, *, mean: bool) -> float | None:
        """The CIDEr of uniform decoding at 1 Hz, of means or of single hops. None where chance does as well."""
        key = clock, row("uniform", mean)
        return cider_at(self.points[key], BASE) if self.earned[key] else None

    def beside(self, other: Curves) -> Curves:
        """These rows and those of other ways on the same streams."""
        return Curves(self.points | other.points, self.earned | other.earned)


def sweep(stream: Stream, embedded: Embedded, ways: Sequence[Way], read: Read, cider: Cider) -> Curves:
    """The curves of one stream. read: embeddings to texts."""
    decoded = [way.decode(embedded) for way in ways]
    flat = [decode.embedding for settings in decoded for decodes in settings for decode in decodes]
    texts = iter(read(flat))
    annotated = np.array([annotation.time for annotation in stream.annotations])
    points: dict[Key, list[Point]] = {}
    earned: dict[Key, bool] = {}
    for way, settings in zip(ways, decoded, strict=True):
        own = points.setdefault((way.clock, way.key), [])
        for setting, decodes in zip(way.settings, settings, strict=True):
            said = [next(texts) for _ in decodes]
            times = times_on(way.clock, decodes)

            def mean(pairing: NDArray[Any], said: list[str] = said) -> float:
                pairs = zip(pairing.tolist(), stream.annotations, strict=True)
                return float(np.mean([cider.score(said[place], annotation.text) for place, annotation in pairs]))

            late = delays(stream.starts, times, np.array([decode.decided for decode in decodes], np.float64))
            score = mean(nearest(annotated.tolist(), times))
            share = len(late) / max(1, len(stream.starts) - 2)
            delay = float(np.mean(late)) if late else float("nan")
            run = sum(not decode.is_reused for decode in decodes)
            own.append(Point(setting, run / embedded.seconds, score, delay, share))
            if way.name == "uniform" and setting == BASE:
                chance = [mean(pairing) for pairing in shifted(annotated, times, embedded.seconds)]
                earned[way.clock, way.key] = is_earned(score, chance)
    return Curves(points, earned)


def pooled(curves: Sequence[Curves]) -> Curves:
    """The mean curves of several streams, setting by setting. A target is earned where most streams earn it."""
    points = {
        key: [_mean(points) for points in zip(*(curve.points[key] for curve in curves), strict=True)]
        for key in curves[0].points
    }
    earned = {key: 2 * sum(curve.earned[key] for curve in curves) > len(curves) for key in curves[0].earned}
    return Curves(points, earned)


def _mean(points: Sequence[Point]) -> Point:
    """Of one setting: each number over those of the streams that have it."""
    columns = [[value for value in column if not math.isnan(value)] for column in zip(*points, strict=True)]
    mean = Point(*(sum(column) / len(column) if column else math.nan for column in columns))
    return mean._replace(setting=points[0].setting)


def as_json(points: Sequence[Point]) -> list[dict[str, float | None]]:
    """The points of a curve, ready for JSON."""
    return [{name: number(value, 4) for name, value in point._asdict().items()} for point in points]
