"""Segments of a recording, found with a look at its future: the offline segmentation of the paper's section 4.6."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vljepa_edge import _core
from vljepa_edge.errors import InputError
from vljepa_edge.support.arguments import as_number, as_whole, shown


class Segment(NamedTuple):
    """Rows `first` to `stop` - 1 of the embeddings, which last from `start` to `end`.

    start, end  times of its first row and of the next segment's first row (of the last segment: of the last row), in
                the unit of the times given, or row numbers
    embedding   float32 [E]: the mean of its rows, scaled to unit norm (zeros if they cancel out)
    middle      the row nearest to the middle between `start` and `end`: its own embedding is the paper's other choice
    """

    first: int
    stop: int
    start: float
    end: float
    embedding: NDArray[np.float32]
    middle: int


def segment(
    embeddings: ArrayLike,
    times: ArrayLike | None = None,
    *,
    count: int | None = None,
    threshold: float | None = None,
) -> list[Segment]:
    """Cut a sequence of embeddings into segments by Ward's clustering, where only neighbours in time may join.

    embeddings  [N, E], finite, such as `Model.embed_windows` gives
    times       [N] in seconds, not falling; None: the row numbers
    count       how many segments to make, 1 to N
    threshold   or, instead, join neighbours until the cheapest join costs more than this. Joining segments of n and k
                rows costs n k / (n + k) |difference of their means|^2; the policy running-ward has the same unit

    The segments are in the order of time and cover all rows. Raises InputError for arrays of another shape, numbers
    that are not finite, and unless either `count` or `threshold` is given.
    """
    rows = _rows(embeddings)
    stamps = np.arange(len(rows), dtype=np.float64) if times is None else _finite(times, "times", 1)
    if len(stamps) != len(rows) or (np.diff(stamps) < 0).any():
        raise InputError(f"times must be {len(rows)} numbers that do not fall, one for each row of the embeddings")
    single = np.ascontiguousarray(rows, np.float32)
    if (count is None) == (threshold is None):
        raise InputError("segment needs either count or threshold")
    if count is not None:
        firsts = _core.chain_ward(single, as_whole(count, "count", 1, len(rows))).tolist()
    else:
        cost = as_number(threshold, "threshold")
        if not cost >= 0:
            raise InputError(f"threshold must be at least 0, got {shown(threshold)}")
        firsts = _core.chain_ward(single, threshold=cost).tolist()
    found = []
    for first, stop in zip(firsts, [*firsts[1:], len(rows)], strict=True):
        mean = rows[first:stop].mean(0)
        norm = float(np.linalg.norm(mean))
        unit = (mean / norm if norm > 0 else mean).astype(np.float32)
        start, end = float(stamps[first]), float(stamps[min(stop, len(rows) - 1)])
        middle = first + int(np.abs(stamps[first:stop] - (start + end) / 2).argmin())
        found.append(Segment(first, stop, start, end, unit, middle))
    return found


class Dendrogram(NamedTuple):
    """All joins of `segment`, in their order, from N rows down to one segment.

    rows   int64 [N - 1]: the first row of the later one of two neighbours, where no segment starts any more
    costs  float64 [N - 1]: what the join cost, in the unit of `segment`'s threshold

    A segmentation into n parts starts at row 0 and at the last n - 1 of `rows`: `sorted([0, *rows[N - n:]])`.
    """

    rows: NDArray[np.int64]
    costs: NDArray[np.float64]


def dendrogram(embeddings: ArrayLike) -> Dendrogram:
    """Every segmentation of a sequence of embeddings [N, E] at once. Raises InputError as `segment` does."""
    return Dendrogram(*_core.chain_ward_joins(np.ascontiguousarray(_rows(embeddings), np.float32)))


def _rows(embeddings: ArrayLike) -> NDArray[np.float64]:
    rows = _finite(embeddings, "embeddings", 2)
    if not rows.size:
        raise InputError(f"embeddings must have at least one row and column, got the shape {rows.shape}")
    return rows


def _finite(values: ArrayLike, what: str, dimensions: int) -> NDArray[np.float64]:
    """An array of finite numbers with so many dimensions."""
    shape = "[N, E]" if dimensions == 2 else "[N]"
    try:
        given = np.asarray(values)
    except Exception:  # what np.asarray raises is up to the object
        given = np.array(None)
    if given.dtype.kind not in "fiu" or given.ndim != dimensions:
        got = f"{given.dtype} of shape {given.shape}" if given.dtype != object else shown(values)
        raise InputError(f"{what} must be an array {shape} of numbers, got {got}")
    numbers = given.astype(np.float64)
    if not (np.abs(numbers) < 1e30).all():
        raise InputError(f"{what} must be finite numbers below 1e30")
    return numbers
