"""Where text is decoded: at a fixed rate, by Ward's clustering with a look at the future, or by a causal policy.

Every way sees the same embeddings, and says of each decode both what it stands for and when it could be made.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError
from vljepa_edge.evaluation.selective.clocks import Decode, nearest
from vljepa_edge.streaming.said import Said
from vljepa_edge.streaming.segmentation import segment
from vljepa_edge.streaming.track import Track
from vljepa_edge.support.install import install_extra

if TYPE_CHECKING:
    from vljepa_edge.evaluation.selective.embedded import Embedded
    from vljepa_edge.perception.text import Query
    from vljepa_edge.streaming.policy import Policy


def uniform(stream: Embedded, rate: float, *, mean: bool) -> list[Decode]:
    """A decode every 1 / rate seconds: of the hop in the middle, or of the mean over the hops of that time.

    Known when the last hop that it needs is. Hops are as far apart as they are: one that two decodes fall on is decoded
    once.
    """
    middles = stream.middles
    first = float(middles[0])
    count = max(1, round((float(middles[-1]) - first) * rate))
    edges = first + (float(middles[-1]) - first) * np.arange(count + 1) / count
    centres = (edges[1:] + edges[:-1]) / 2
    if not mean:
        return [_of_hop(stream, row) for row in dict.fromkeys(nearest(centres.tolist(), middles).tolist())]
    found = []
    begins = np.searchsorted(middles, edges)
    begins[0], begins[-1] = 0, len(middles)
    for centre, (begin, stop) in zip(centres, pairwise(begins), strict=True):
        if stop <= begin:  # the window restarted at a cut: no hop's middle lies here
            continue
        found.append(Decode(float(centre), float(stream.times[stop - 1]), _mean(stream.rows[begin:stop])))
    return found


def ward(stream: Embedded, rate: float, *, mean: bool) -> list[Decode]:
    """So many segments by Ward's clustering of the complete stream that `rate` decodes a second are made (4.6)."""
    count = min(max(1, round(rate * stream.seconds)), len(stream.rows))
    return _segments(stream, [found.first for found in segment(stream.rows, count=count)], mean)


def kernel_cpd(stream: Embedded, rates: Sequence[float]) -> list[list[Decode]]:
    """The segmentation into so many parts that has the least variance of all, for each rate: a ceiling of what any cut
    by variance can reach. Means are decoded. It takes the square of the hops times the segments. Raises
    InputError where ruptures is not installed."""
    try:
        from ruptures import KernelCPD
    except ImportError as error:
        raise InputError(f"this needs ruptures; to get it, run: {install_extra('eval')}") from error
    counts = [min(max(1, round(rate * stream.seconds)), len(stream.rows)) for rate in rates]
    search = KernelCPD(kernel="linear", min_size=1).fit(stream.rows.astype(np.float64))
    return [
        _segments(stream, [0, *search.predict(n_bkps=count - 1)[:-1]] if count > 1 else [0], mean=True)
        for count in sorted(counts, reverse=True)  # the most first: it finds the fewer on the way
    ][:: 1 if counts == sorted(counts, reverse=True) else -1]


def events(stream: Embedded, starts: Sequence[float], *, mean: bool) -> list[Decode]:
    """Segments that begin where the events do, those without a hop's middle left out."""
    return _segments(stream, sorted({0, *np.searchsorted(stream.middles, starts).tolist()} - {len(stream.rows)}), mean)


def closed(stream: Embedded, policy: Policy, query: Query) -> list[Decode]:
    """The segments of a causal policy, run as a stream of the runtime runs it: the mean of each when it closes."""
    return [decode for is_closed, decode in _cuts(stream, policy, query) if is_closed]


def opened(stream: Embedded, policy: Policy, query: Query) -> list[Decode]:
    """The same when each opens: the newest embedding."""
    return [decode for is_closed, decode in _cuts(stream, policy, query) if not is_closed]


def reused(decodes: Sequence[Decode], radius: float, *, mean: bool) -> list[Decode]:
    """The same with the runtime's cache of texts (StreamOptions.reuse): what lies within `radius` of something decoded
    before has its text."""
    said = Said(radius)
    found = []
    for decode in decodes:
        text_of: Any = said.find(decode.embedding, mean)
        if text_of is None:
            said.keep(decode.embedding, mean, cast("Any", decode.embedding))  # in place of its words
            found.append(decode)
        else:
            found.append(decode._replace(embedding=text_of, is_reused=True))
    return found


def _cuts(stream: Embedded, policy: Policy, query: Query) -> list[tuple[bool, Decode]]:
    track = Track(query, policy, stream.rows.shape[1])
    found = []
    for time, since, row in zip(stream.times.tolist(), stream.since.tolist(), stream.rows, strict=True):
        for cut in track.push(row, time, since):
            middle = (since + time) / 2 if cut.end is None else (cut.start + cut.end) / 2
            found.append((cut.end is not None, Decode(middle, time, cut.embedding)))
    last = float(stream.times[-1])
    return found + [(True, Decode((cut.start + (cut.end or last)) / 2, last, cut.embedding)) for cut in track.end(last)]


def _segments(stream: Embedded, firsts: Sequence[int], mean: bool) -> list[Decode]:
    """Decodes of segments that begin at these rows."""
    middles = stream.middles
    between = (middles[1:] + middles[:-1]) / 2
    found = []
    for first, stop in zip(firsts, [*firsts[1:], len(middles)], strict=True):
        start = between[first - 1] if first else middles[0]
        end = between[stop - 1] if stop < len(middles) else middles[-1]
        middle = float(start + end) / 2
        if mean:
            found.append(Decode(middle, None, _mean(stream.rows[first:stop])))
        else:
            row = first + int(np.abs(middles[first:stop] - middle).argmin())
            found.append(_of_hop(stream, row)._replace(decided=None))
    return found


def _of_hop(stream: Embedded, row: int) -> Decode:
    return Decode(float(stream.middles[row]), float(stream.times[row]), stream.rows[row])


def _mean(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of unit norm; rows that cancel out give the first."""
    mean = rows.mean(0, dtype=np.float64)
    norm = float(np.linalg.norm(mean))
    found: NDArray[np.float32] = (mean / norm).astype(np.float32) if norm > 1e-12 else rows[0]
    return found
