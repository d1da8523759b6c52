"""The time of a message: of its header or of its recording, and whether a header's clock can be believed."""

from __future__ import annotations

from typing import Literal, TypeAlias

from vljepa_edge.video.timing import NEW_BEGINNING

Clock: TypeAlias = Literal["header", "log"]
CLOCKS: tuple[Clock, ...] = ("header", "log")

_SECOND = 1_000_000_000
# Two stamps that lie further apart than their messages were recorded, by more than this, are of two clocks. Messages
# wait in queues for seconds at most, and who plays a bag slowly records it slowly.
_APART = 10 * _SECOND


class ClockFault(Exception):
    """The stamps of headers can't be a clock."""


class Stamps:
    """Picks the stamp of each message, nanoseconds since 1970, in the order in which they were recorded.

    A header's stamp is when the camera took the picture; the log's is when the recorder got it, later by what lies
    between, with its jitter. Raises ClockFault for headers without a stamp, that go back by a second or more, and that
    jump from one clock to another.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._header: int | None = None
        self._log = 0

    def __call__(self, header: int, log: int) -> int:
        """header: its stamp; log: when the message was recorded."""
        if self._clock == "log":
            return log
        before, self._header = self._header, header
        passed, self._log = log - self._log, log
        if header == 0:
            raise ClockFault("its header has no stamp")
        if before is not None:
            step = header - before
            if step <= -NEW_BEGINNING * _SECOND:
                raise ClockFault(f"the time of headers runs backwards by {-step / _SECOND:.3f} s")
            if step - passed > _APART:
                said = f"jump by {step / _SECOND:.3f} s while {passed / _SECOND:.3f} s were recorded"
                raise ClockFault(f"the stamps of headers are of two clocks: they {said}")
        return header
