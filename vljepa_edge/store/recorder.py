"""Clips around events: which stretch of a stream each of them is given."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from vljepa_edge.errors import InputError
from vljepa_edge.store.clips import Clip
from vljepa_edge.video.packets import PacketRing

LONGEST = 60.0  # seconds of a clip, about: what happens close together shares clips of this length
_LATE = 20.0  # seconds by which an event may be told later than it began, and its packets be there still


@dataclass(frozen=True)
class Around:
    """How much of what was there before and after an event begins is in its clip, in seconds."""

    before: float = 5.0
    after: float = 10.0

    def __post_init__(self) -> None:
        if not (self.before >= 0 and self.after > 0 and self.before + self.after <= LONGEST):
            raise InputError(
                f"a clip must have 0 s or more before an event, some after it and at most {LONGEST:g} s in all, "
                f"got {self.before:g} and {self.after:g}"
            )


class Recorder:
    """Cuts clips of one stream out of the packets of its source, and gives them to `put`: EventStore.put_clip.

    An event that begins while a clip goes on is in that one, and the clip goes on as long as one of that event alone
    would, up to a minute. Any thread may call it.
    """

    def __init__(self, stream: str, put: Callable[[Clip], object], around: Around) -> None:
        self.ring = PacketRing(around.before + _LATE, self.finish)
        self._stream, self._put, self._around = stream, put, around
        self._lock = threading.Lock()
        self._shift = 0.0  # seconds by which times of the stream are later than those of the source
        self._start = self._end = math.inf  # of the clip that goes on
        self._events: list[int] = []

    def begins(self, number: int, start: float) -> None:
        """The event of that number begins at this time of the stream."""
        earliest, latest = start - self._around.before, start + self._around.after
        with self._lock:
            if self._events and latest - self._start > LONGEST:
                self._finish()
            if not self._events:
                self._start, self._end = earliest, latest
                self.ring.hold(earliest - self._shift)
            self._end = max(self._end, latest)
            self._events.append(number)

    def look(self) -> None:
        """Write the clip that goes on where its end has come."""
        with self._lock:
            if self._events and self.ring.newest + self._shift > self._end:
                self._finish()

    def opened(self, shift: float) -> None:
        """The source was opened; its times are so many seconds earlier than those of the stream."""
        with self._lock:
            self._shift = shift

    def finish(self) -> None:
        """Write the clip that goes on as far as it has come: the source has ended, or was lost."""
        with self._lock:
            if self._events:
                self._finish()

    def _finish(self) -> None:
        cut = self.ring.cut(self._start - self._shift, self._end - self._shift)
        if cut is not None:
            self._put(Clip(self._stream, cut, cut.start + self._shift, tuple(self._events)))
        self._events = []
        self.ring.hold(math.inf)
