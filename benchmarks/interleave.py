"""Timing of several ways to do one thing, interleaved: each round calls every one of them once, in a shuffled order.

pytest-benchmark runs all rounds of one function before it begins the next, so a machine that slows down in between (a
neighbour, heat, another clock) makes a ratio that is not there. Here whatever slows a round slows all of its calls, and
ratios are taken within a round.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Clock = Callable[[], float]


@dataclass(frozen=True)
class Case:
    """One way to do it. `calls`: how often a sample runs it, for what takes microseconds."""

    name: str
    run: Callable[[], object]
    calls: int = 1


@dataclass(frozen=True)
class Samples:
    """Durations of one call of a case, one a round, milliseconds."""

    name: str
    ms: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.ms))

    @property
    def spread(self) -> tuple[float, float]:
        """The 10th and 90th percentile."""
        low, high = np.percentile(self.ms, (10, 90))
        return float(low), float(high)

    def times(self, other: Samples) -> float:
        """How many times as long as `other` this takes: the median of the ratios of the rounds."""
        return float(np.median(np.asarray(self.ms) / np.asarray(other.ms)))


def interleave(
    cases: Sequence[Case], seconds: float, clock: Clock = time.perf_counter, *, least: int = 5, most: int = 500
) -> tuple[Samples, ...]:
    """Rounds of all cases until `seconds` of wall time are over, but at least `least` and at most `most`.

    A first call of each, not counted, warms caches and lets engines make their kernels.
    """
    for case in cases:
        case.run()
    order, found = list(cases), {case.name: [] for case in cases}
    draw = random.Random(0)
    collecting = gc.isenabled()
    gc.disable()
    gc.collect()
    gc.freeze()  # what is there already isn't looked at after every round: that would empty the caches before the next
    try:
        begun, rounds = time.perf_counter(), 0
        while rounds < least or (rounds < most and time.perf_counter() - begun < seconds):
            draw.shuffle(order)
            for case in order:
                start = clock()
                for _ in range(case.calls):
                    case.run()
                found[case.name].append(1e3 * (clock() - start) / case.calls)
            rounds += 1
            gc.collect()
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()
    return tuple(Samples(case.name, tuple(found[case.name])) for case in cases)


def cpu_clock() -> float:
    """Seconds of processor time of this process and of the children that it has waited for.

    For machines that are not quiet: it leaves out waiting, not the cost of caches and memory shared with others.
    """
    children = 0.0
    try:
        import resource
    except ImportError:
        pass
    else:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        children = used.ru_utime + used.ru_stime
    return time.process_time() + children
