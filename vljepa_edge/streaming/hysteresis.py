"""Hysteresis: from a probability at every hop to occurrences, each of which begins once and ends once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from vljepa_edge import _core
from vljepa_edge.errors import InputError
from vljepa_edge.support.arguments import as_number, shown

_LONGEST_HOLD = 86400


class Occurrence(NamedTuple):
    """Something that began (`end` None) or ended. Seconds on the clock of the hops.

    start, end   the first and the last hop at which it was seen, each by the time that it is told as
    peak         the largest probability so far
    """

    start: float
    end: float | None
    peak: float


@dataclass(frozen=True)
class Hysteresis:
    """When something counts as seen. Raises InputError for a value that is not allowed, naming it.

    begin   the probability at which it begins
    end     the probability below which it ends, at most `begin`
    hold    seconds that it must stay at `end` or above before it counts as begun, and below `end` before it counts as
            ended, so that a noisy hop neither begins nor ends it. The jitter of a camera, a quarter of a hop, is
            forgiven
    """

    begin: float = 0.6
    end: float = 0.4
    hold: float = 0.5

    def __post_init__(self) -> None:
        for name, low, high, unit in (
            ("begin", 0.0, 1.0, ", a probability"),
            ("end", 0.0, 1.0, ", a probability"),
            ("hold", 0.0, _LONGEST_HOLD, " seconds"),
        ):
            value = as_number(getattr(self, name), name)
            if not low <= value <= high:
                raise InputError(f"{name} must be a number, {low:g} to {high:g}{unit}, got {shown(value)}")
            object.__setattr__(self, name, value)
        if self.end > self.begin:
            raise InputError(f"end must be at most begin, {self.begin:g}, got {self.end:g}")

    def beginning_at(self, begin: float) -> Hysteresis:
        """The same with another `begin`, and `end` as far below it in proportion."""
        return Hysteresis(begin, begin * self.end / self.begin, self.hold)

    def start(self) -> HysteresisState:
        """A new state for one thing that is looked for in one stream."""
        return HysteresisState(self)


class HysteresisState:
    """One thing that is looked for."""

    def __init__(self, policy: Hysteresis) -> None:
        self._state = _core.HysteresisState(policy.begin, policy.end, policy.hold)

    @property
    def is_seen(self) -> bool:
        """Whether it has begun and not ended."""
        return self._state.is_seen

    @property
    def peak(self) -> float:
        """The largest probability of what has begun and not ended; 0 where nothing has."""
        return self._state.peak

    def push(self, probability: float, time: float, told_as: float | None = None) -> Occurrence | None:
        """Tell of a hop, later than the one before it; what began or ended with it, if anything.

        told_as: what its time is called in an Occurrence, such as the middle of the hop's window; None: `time`.
        """
        found = self._state.push(probability, time, time if told_as is None else told_as)
        return None if found is None else Occurrence(*found)

    def finish(self) -> Occurrence | None:
        """End it at the last hop at which it was seen: the stream has ended. None when it had not begun."""
        found = self._state.finish()
        return None if found is None else Occurrence(*found)

    def reset(self) -> None:
        """Forget everything."""
        self._state.reset()

    def restart_clock(self) -> None:
        """The next hop may have any time. What has begun should be finished first."""
        self._state.restart_clock()
