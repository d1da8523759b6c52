"""Which of the pushed frames the model sees: sampling by time stamp, whatever the time stamps do."""

from __future__ import annotations

import math
from enum import Enum

LATEST_TIME = 1e12
EARLY = 0.25


class Verdict(Enum):
    """What a time stamp means. Values are the names of the counts."""

    DUE = "encoded"
    SKIPPED = "skipped"
    REPEATED = "repeated"
    BACKWARDS = "backwards"
    BAD = "bad_times"
    RESTART = "restarts"


class Sampler:
    """Due times lie on a grid of 1/fps from the first frame; the first frame at or after each is due.

    A frame may come early by a quarter of the time since the one before it (of 1/fps at most), so that the jitter of a
    camera at the model's own rate does not halve it.
    A stamp older than the newest one is `BACKWARDS` when it is so by at most `restart_after` seconds; by more it is a
    `RESTART`: the clock began anew (a camera reconnected), and so does the grid. So a wild stamp in the future costs
    at most `restart_after` seconds of frames. Stamps beyond 1e12 s are `BAD`: they are milliseconds or nanoseconds.
    """

    def __init__(self, fps: float, restart_after: float) -> None:
        self.fps = fps
        self.restart_after = restart_after
        self.restart()

    def restart(self) -> None:
        """Forget the clock: the next frame is due and begins the grid."""
        self._newest = -math.inf
        self._base: float | None = None
        self._due = 0

    def judge(self, time: float) -> Verdict:
        """What to do with a frame of this time; DUE and RESTART frames are to be taken."""
        if not math.isfinite(time) or abs(time) > LATEST_TIME:
            return Verdict.BAD
        if time == self._newest:
            return Verdict.REPEATED
        if time < self._newest:
            if time >= self._newest - self.restart_after:
                return Verdict.BACKWARDS
            self.restart()
            self._newest = time
            return Verdict.RESTART
        early = EARLY * min((time - self._newest) * self.fps, 1.0)
        self._newest = time
        due = self._base is None or (time - self._base) * self.fps >= self._due - early
        return Verdict.DUE if due else Verdict.SKIPPED

    def take(self, time: float) -> None:
        """The frame of this time was good: the next is due a period later. One that failed leaves its turn open."""
        if self._base is None:
            self._base = time
        self._due = max(self._due, math.floor((time - self._base) * self.fps + 1e-6)) + 1
