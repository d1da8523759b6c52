"""The time of live frames: their stamps, bounded by the clock on which they arrive."""

from __future__ import annotations

import math

from vljepa_edge.video.frame import SourceStats

_AHEAD = 0.5  # seconds by which a frame may come earlier than any before it: none can come before it was made
_FARTHEST = 10.0  # seconds by which stamps may run ahead of arrivals in all, as frames that a server had buffered do
_STEP = 1e-3  # seconds between two frames whose stamps are out of order
_LASTING = 1.0  # seconds after which stamps that agree with each other, and not with those before, are the clock
_BEHIND, _BEHIND_FOR = (
    2.0,
    5.0,
)  # seconds: late frames catch up when a network recovers; a clock that stood still doesn't
_AT_EASE = 0.1  # seconds of difference to arrivals that are not corrected
_SLEW = 0.02  # the most by which time is stretched to follow arrivals: more than camera clocks drift
_FORGETS = 0.005  # seconds a second by which the earliness of old frames loses its say


class LiveClock:
    """Stamp and arrival in, time out: strictly rising seconds from 0 at the first frame. No clock and no I/O.

    A stamp is believed when it lies after the frame before and not ahead of what arrivals allow. One that isn't is
    counted in `bad_timestamps` and changes nothing: its frame gets the time of its arrival. Stamps that disagree with
    the clock and agree with each other for a second are a new clock, which goes on where the time is. A clock that runs
    too fast or too slow is stretched to follow arrivals.
    """

    def __init__(self, stats: SourceStats, interval: float) -> None:
        """interval: seconds between frames, as far as the source says."""
        self._stats = stats
        self._interval = interval
        self._begun: float | None = None  # arrival of the first frame
        self._last = -math.inf  # time of the newest frame
        self._arrived = 0.0  # its arrival, from `_begun`
        self._stamped = False
        self.restart()

    def restart(self) -> None:
        """The source was connected again: the next stamp means the time of its arrival."""
        self._shift: float | None = None  # time minus stamp
        self._stamp: float | None = None  # the newest one
        self._earliest = -math.inf  # the most by which times were ahead of arrivals
        self._other: float | None = None  # the shift of stamps that disagree with `_shift`
        self._other_since = 0.0
        self._behind_since: float | None = None

    def place(self, stamp: float | None, arrived: float) -> float:
        """The time of a frame. stamp: seconds, any origin, possibly wrong or missing. arrived: seconds, monotonic."""
        if self._begun is None:
            self._begun = arrived
        now = max(arrived - self._begun, self._arrived)
        since = now - self._arrived
        # While frames come as they were made, time has gone on as much as arrivals have.
        expected = now if self._shift is None else self._last + since
        expected = max(expected, self._last + _STEP, 0.0)
        time = self._believe(stamp, now, expected)
        if time is None:
            time = expected
            self._stats.bad_timestamps += self._stamped
        self._stamp = stamp
        self._last, self._arrived = time, now
        return time

    def _believe(self, stamp: float | None, now: float, expected: float) -> float | None:
        """The time that a stamp stands for; None if it stands for none."""
        if stamp is None or not math.isfinite(stamp):
            return None
        self._stamped = True
        if self._shift is None:
            time = max(expected, self._last + self._interval)
            self._shift, self._earliest = time - stamp, time - now
            return time
        if stamp == self._stamp:
            return None
        time = stamp + self._shift
        if self._last < time <= now + min(self._earliest + _AHEAD, _FARTHEST):
            self._other = None
            return self._follow(time, now)
        if self._last - _AHEAD < time <= self._last and self._other is None:
            self._stats.bad_timestamps += 1  # out of order by little: the frames after it are right
            return self._last + _STEP
        return self._consider(stamp, now, expected)

    def _consider(self, stamp: float, now: float, expected: float) -> float | None:
        """A stamp far off: does it agree with the far ones before it?"""
        if self._other is not None:
            time = stamp + self._other
            if self._last < time <= min(expected + _AHEAD, now + _FARTHEST):
                if now - self._other_since > _LASTING:
                    self._shift, self._other, self._behind_since = self._other, None, None
                    self._earliest = max(self._earliest, time - now)
                return time
        self._other, self._other_since = expected - stamp, now
        return None

    def _follow(self, time: float, now: float) -> float:
        """A time that is believed: keep what it says of the clock's speed."""
        assert self._shift is not None
        ahead, since = time - now, now - self._arrived
        correction = 0.0
        if abs(ahead) > _AT_EASE:
            correction = -math.copysign(min(_SLEW * since, abs(ahead) - _AT_EASE), ahead)
        self._earliest = max(self._earliest - _FORGETS * since, ahead) + correction
        if ahead > self._earliest - _BEHIND:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = now
        elif now - self._behind_since > _BEHIND_FOR:
            correction, self._behind_since = self._earliest - ahead, None
        self._shift += correction
        return max(time + correction, math.nextafter(self._last, math.inf))
