"""When the frames of a stream that comes a segment at a time are due: a playout clock that follows its server."""

from __future__ import annotations

_JUMP = 2.0  # seconds between two stamps, or of lateness, that mean another clock rather than a long frame
_SOONER = 0.001  # of the time between frames: frames are due so much sooner, so that a faster server is followed
_LATER = 0.01  # of the time between frames that came late, for a slower server: more than clocks drift
_FASTEST = 3  # times as fast as they were made, frames that came late catch up: in a burst all but the newest are lost


class Playout:
    """Stamp and clock in, seconds to wait out. No clock and no I/O.

    A frame is due as long after the one before it as their stamps lie apart, but a thousandth sooner: so the delay
    shrinks until a segment is wanted when it is published, however fast the server's clock is. Frames that come late
    catch up, three times as fast, and each makes those after it a little later. Stamps that go back or ahead by
    seconds, as after a segment that was skipped, a restart of the encoder or a wrap of its counter, change nothing:
    their frame is due one usual interval after the one before.
    """

    def __init__(self) -> None:
        self._due: float | None = None  # when the frame before was due
        self._given = 0.0  # when it was given out
        self._stamp = 0.0  # its stamp
        self._interval = 0.0  # seconds between the last two frames that no jump parts

    def wait(self, stamp: float, now: float) -> float:
        """Seconds until a frame that came `now` is due: at most two. stamp: seconds, any origin. now: seconds."""
        if self._due is None:
            self._due, self._given, self._stamp = now, now, stamp
            return 0.0
        passed, self._stamp = stamp - self._stamp, stamp
        if 0 <= passed <= _JUMP:
            self._interval = passed
        self._due += self._interval * (1 - _SOONER)
        late = now - self._due
        if late > _JUMP:
            self._due = now
        elif late > 0:
            self._due += min(late, self._interval * _LATER)
        self._given = max(now, now - late, self._given + self._interval / _FASTEST)
        return self._given - now
