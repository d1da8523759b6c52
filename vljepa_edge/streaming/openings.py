"""Which event began what another one ends."""

from __future__ import annotations

from typing import NamedTuple

from vljepa_edge.streaming.event import Event, Status

ENDINGS: dict[Status, Status] = {"open": "closed", "appeared": "gone", "began": "ended"}
"""The status with which something begins, and the one with which it ends."""
_BEGINNINGS = {end: begin for begin, end in ENDINGS.items()}


class _Thing(NamedTuple):
    stream: str
    begins: Status
    query: str
    told: str  # the label, or the taught event; empty for a segment


class Openings:
    """The numbers of the events with which what goes on now has begun. Not for several threads at once."""

    def __init__(self) -> None:
        self._open: dict[_Thing, int] = {}

    def begin(self, stream: str, event: Event, number: int) -> None:
        """Something begins with this event."""
        self._open[_thing(stream, event)] = number

    def end(self, stream: str, event: Event) -> int | None:
        """The number of the event with which began what this one ends; None where that is not known."""
        return self._open.pop(_thing(stream, event), None)

    def forget(self, stream: str) -> None:
        """A stream is gone."""
        self._open = {thing: number for thing, number in self._open.items() if thing.stream != stream}


def begins(event: Event) -> bool:
    """Whether something begins with this event."""
    return event.status in ENDINGS


def ends(event: Event) -> bool:
    """Whether something ends with this event."""
    return event.status in _BEGINNINGS


def _thing(stream: str, event: Event) -> _Thing:
    told = "" if event.is_segment else event.text
    return _Thing(stream, _BEGINNINGS.get(event.status, event.status), event.query, told)
