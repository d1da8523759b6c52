"""Two clocks that are never mixed, and how annotations and decodes meet on one.

log: a decode stands for the middle of its segment, as in the paper: good for a record that is read afterwards.
live: a decode counts from when it was decided: what someone who watches has to go by.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError

Clock = Literal["log", "live"]
CLOCKS: tuple[Clock, ...] = ("log", "live")


class Decode(NamedTuple):
    """middle: seconds, of what it stands for: a hop's window, or a segment. decided: seconds, the newest frame when it
    was decided, None where that took a look at the future. embedding: float32 [E], what is decoded. is_reused: it was
    decoded before, and costs nothing."""

    middle: float
    decided: float | None
    embedding: NDArray[np.float32]
    is_reused: bool = False


def times_on(clock: Clock, decodes: Sequence[Decode]) -> NDArray[np.float64]:
    """The seconds of each decode on a clock. Raises InputError for one on the live clock that saw the future."""
    if clock == "log":
        return np.array([decode.middle for decode in decodes])
    times = [decode.decided for decode in decodes if decode.decided is not None]
    if len(times) < len(decodes):
        raise InputError("the live clock must have decodes that were decided without the future, got one that saw it")
    return np.array(times)


def nearest(annotated: Sequence[float], decoded: NDArray[np.float64]) -> NDArray[np.int64]:
    """[annotations]: the place of the decode that is nearest in time to each (section 4.6), of two the earlier one.

    decoded: in any order. Raises InputError where there is none.
    """
    if not len(decoded):
        raise InputError("annotations must be paired with at least one decode, got none")
    order = np.argsort(decoded, kind="stable")
    times, wanted = decoded[order], np.asarray(annotated, np.float64)
    after = np.clip(np.searchsorted(times, wanted, "left"), 0, len(times) - 1)
    before = np.maximum(after - 1, 0)
    chosen = np.where(np.abs(wanted - times[before]) <= np.abs(times[after] - wanted), before, after)
    found: NDArray[np.int64] = order[chosen].astype(np.int64)
    return found


def delays(starts: Sequence[float], times: NDArray[np.float64], decided: NDArray[np.float64]) -> list[float]:
    """Seconds from the start of each event until a decode that stands for a time within it was decided; events without
    one have none. The first event starts with the stream, the last one has no end: both are left out.

    times: of the decodes on a clock, in any order. decided: when each was decided, NaN where that took the future,
    which makes the delay NaN.
    """
    order = np.argsort(times, kind="stable")
    places = np.searchsorted(times[order], starts[1:], "left").tolist()
    by_event = zip(starts[1:], pairwise(places), strict=False)
    return [float(decided[order[first:stop]].min() - start) for start, (first, stop) in by_event if first < stop]
