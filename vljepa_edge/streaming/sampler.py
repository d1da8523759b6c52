"""Which of the pushed frames the model sees: sampling by timestamp, whatever the timestamps do."""

from __future__ import annotations

import math
from enum import Enum

from vljepa_edge.video.timing import EARLY, Grid

LATEST_TIME = 1e12


class Verdict(Enum):
    """What a timestamp means. Values are the names of the counts."""

    DUE = "encoded"
    SKIPPED = "skipped"
    REPEATED = "repeated"
    BACKWARDS = "backwards"
    BAD = "bad_times"
    RESTART = "restarts"
    GAP = "gaps"


class Sampler:
    """Due times lie on a Grid that allows frames to be EARLY.

    A stamp older than the newest one is `BACKWARDS` when it is so by at most `gap` seconds; by more it is a `RESTART`:
    the clock started again (a camera reconnected), and so does the grid. So a wild stamp in the future costs at most
    `gap` seconds of frames. A stamp that is more than `gap` seconds later than the newest one is a `GAP`: no frame came
    in between. Stamps beyond 1e12 s are `BAD`: they are milliseconds or nanoseconds.
    """

    def __init__(self, fps: float, gap: float) -> None:
        """fps: frames per second to take. gap: seconds, above 1 / fps."""
        self.fps = fps
        self.gap = gap
        self.restart()

    def restart(self) -> None:
        """Forget the clock: the next frame is due and begins the grid."""
        self._newest = -math.inf
        self._grid = Grid(self.fps, EARLY)

    def judge(self, time: float) -> Verdict:
        """What to do with a frame of this time; DUE, GAP and RESTART frames are to be taken."""
        if not math.isfinite(time) or abs(time) > LATEST_TIME:
            return Verdict.BAD
        if time == self._newest:
            return Verdict.REPEATED
        if self._newest - self.gap <= time < self._newest:
            return Verdict.BACKWARDS
        verdict = Verdict.RESTART if time < self._newest else Verdict.DUE
        if math.isfinite(self._newest) and time - self._newest > self.gap:
            verdict = Verdict.GAP
        self._newest = time
        return verdict if self._grid.is_due(time) else Verdict.SKIPPED

    def take(self, time: float) -> None:
        """The frame of this time was good: the next is due a period later. One that failed leaves its turn open."""
        self._grid.take(time)
