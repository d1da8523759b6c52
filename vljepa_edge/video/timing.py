"""Time: from the stamps that containers really carry to rising seconds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

from vljepa_edge.video.frame import SourceStats

# A step back of less than this is a frame out of order and is skipped; a longer one is a new beginning (a splice, a
# wrapped counter, a restarted camera).
NEW_BEGINNING = 1.0  # seconds

T = TypeVar("T")


class StampGuess:
    """Picks presentation or decoding stamps, whichever has been wrong less often (FFmpeg's guess_correct_pts)."""

    def __init__(self) -> None:
        self._last = {"pts": -math.inf, "dts": -math.inf}
        self._faults = {"pts": 0, "dts": 0}

    def __call__(self, pts: int | None, dts: int | None) -> int | None:
        for kind, stamp in (("pts", pts), ("dts", dts)):
            if stamp is not None:
                self._faults[kind] += stamp <= self._last[kind]
                self._last[kind] = stamp
        if pts is not None and (dts is None or self._faults["pts"] <= self._faults["dts"]):
            return pts
        return dts


class DecodingStamps:
    """Presentation stamps out of decoding stamps, for AVI, which has no others. FFmpeg's guesses go back and forth.

    Frames come in the order of showing, each with the decoding stamp of the packet that brought it out. That is later
    than its time by the decoder's delay, which the first frame tells: it is shown when its own packet is decoded.
    """

    def __init__(self) -> None:
        self._decoded: dict[int | None, int] = {}  # by the guess, which names a packet and the frame in it
        self._delay: int | None = None
        self._last: int | None = None

    def sent(self, pts: int | None, dts: int | None) -> None:
        """A packet went to the decoder."""
        if self._delay is None and dts is not None:
            self._decoded.setdefault(pts, dts)

    def __call__(self, pts: int | None, dts: int | None) -> int | None:
        if dts is not None:
            if self._delay is None:
                self._delay = dts - self._decoded.get(pts, dts)
                self._decoded.clear()
            self._last = dts - self._delay
        elif self._last is not None:  # out of the emptied decoder, where no packet brings a frame out
            self._last += 1
        return self._last


def without_wild(frames: Iterable[tuple[T, float | None]]) -> Iterator[tuple[T, float | None]]:
    """The frames of a recording; a stamp that leaps ahead of the one before it, and behind which the next one falls
    back, is taken away: that frame comes when it was to be expected, and the rest of the recording where it was.

    Looks one frame ahead. A leap that lasts is a gap, and stays.
    """
    before: float | None = None
    held: list[tuple[T, float | None]] = []
    try:
        for frame, stamp in frames:
            if held:
                waiting, at = held.pop()
                if at is not None and before is not None and stamp is not None:
                    at = None if at - before > NEW_BEGINNING and before < stamp < at else at
                before = before if at is None else at
                yield waiting, at
            held.append((frame, stamp))
    except Exception:  # what came before the end is not lost to it
        yield from held
        raise
    yield from held


class Timeline:
    """Places stamps (seconds, any origin, possibly missing or wrong) on one strictly rising time line.

    `interval` is the expected time between frames, `origin` the stamp that is second 0 (None: the first that comes).
    After a new beginning time goes on from where it was; if `keeps`, stamps stay as they are and time goes back.
    """

    def __init__(
        self, stats: SourceStats, interval: float, origin: float | None = None, *, keeps: bool = False
    ) -> None:
        self._stats = stats
        self._interval = interval
        self._keeps = keeps
        self._shift = None if origin is None else -origin
        self._stamp: float | None = None
        self._last: float | None = None
        self._late = 0

    def place(self, stamp: float | None) -> float | None:
        """The time of a frame in seconds; None if the frame came too late to have one and is to be skipped."""
        if stamp is None or not math.isfinite(stamp) or stamp == self._stamp:
            self._stats.bad_timestamps += 1
            time = self._expected()
        else:
            if self._shift is None:
                self._shift = self._expected() - stamp
            time = stamp + self._shift
            if self._last is not None and time <= self._last:
                self._stats.bad_timestamps += 1
                self._late += 1
                soon = self._keeps or self._late * self._interval <= NEW_BEGINNING
                if soon and self._last - time < NEW_BEGINNING:
                    return None
                if not self._keeps:
                    time = self._expected()
                    self._shift = time - stamp
            self._stamp = stamp
        self._late = 0
        self._last = time
        return time

    def _expected(self) -> float:
        return 0.0 if self._last is None else self._last + self._interval
