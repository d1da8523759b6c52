"""`vljepa stream --out events.mcap`: what happens, as a topic that ROS 2 tools and Foxglove read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_edge.cli.outlet import file_outlet
from vljepa_edge.cli.output import json_line

if TYPE_CHECKING:
    from vljepa_edge.sinks.event_bag import EventBag
    from vljepa_edge.streaming.event import Event
    from vljepa_edge.streaming.reader import EventReader
    from vljepa_edge.video.source import Source


class BagFile:
    """The events of --json as a topic of an MCAP file, which is complete after each of them. What stood there goes with
    the first one.

    A message has the time at which its event was decided: on the clock of a bag, of a camera that of this machine, of
    another file from 1970 on.
    """

    def __init__(self, path: Path) -> None:
        self._outlet = file_outlet(path, "events")
        self._source: Source | None = None

    def begin(self, events: EventReader) -> None:
        self._source = events.source
        self._outlet.live = events.source.live

    def event(self, event: Event, line: Mapping[str, Any] | None = None, text: str | None = None) -> None:
        if line is None:
            return
        message, stamp = json_line(line).rstrip("\n"), self._stamp(event)
        self._outlet.put(lambda: self._bag.add(message, stamp))

    def summary(self, line: Mapping[str, Any]) -> None:
        self._outlet.settle()

    def close(self, *, complete: bool) -> None:
        if complete and not self._outlet.used:
            self._outlet.put(lambda: self._bag.piece())
        self._outlet.close()

    @cached_property
    def _bag(self) -> EventBag:
        from vljepa_edge.sinks.event_bag import EventBag

        return EventBag()

    def _stamp(self, event: Event) -> int:
        """Nanoseconds since 1970. Of a camera the clock is read for each event: it may be set between two of them, and
        the clock of the frames stands still while the machine sleeps."""
        assert self._source is not None
        if self._source.stats.epoch_ns is None and self._source.live:
            return time.time_ns() - round(1e6 * event.latency_ms.get("total", 0.0))
        return max(0, (self._source.stats.epoch_ns or 0) + round(event.decided_at * 1e9))
