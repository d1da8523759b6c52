"""`vljepa stream --out events.mcap`: what happens, as a topic that ROS 2 tools and Foxglove read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_edge.cli.output import json_line, naming
from vljepa_edge.support.atomic import replacing

if TYPE_CHECKING:
    from vljepa_edge.sinks.event_bag import EventBag
    from vljepa_edge.streaming.event import Event
    from vljepa_edge.streaming.reader import EventReader
    from vljepa_edge.video.source import Source


class BagFile:
    """The events of --json as a topic of an MCAP file, which is written while the stream runs, and takes its place when
    that ends, however it does. Where it ends before anything was seen, what stood there stays.

    A message has the time at which its event was decided: on the clock of a bag, of a camera that of this machine, of
    another file from 1970 on.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._source: Source | None = None
        self._begun: int | None = None  # nanoseconds since 1970 at second 0
        self._bag: EventBag | None = None
        self._place = ExitStack()
        self._failed = False

    def begin(self, events: EventReader) -> None:
        self._source = events.source

    def event(self, event: Event, line: Mapping[str, Any] | None = None, text: str | None = None) -> None:
        if line is None:
            return
        with self._writing() as bag:
            bag.add(json_line(line).rstrip("\n"), max(0, self._epoch(event) + round(event.decided_at * 1e9)))

    def summary(self, line: Mapping[str, Any]) -> None:
        pass

    def close(self, *, complete: bool) -> None:
        if not self._failed and (complete or self._bag is not None):
            with self._writing() as bag:
                bag.finish()
                self._place.close()

    def _epoch(self, event: Event) -> int:
        source = self._source
        if self._begun is None:
            self._begun = 0
            if source is not None and source.stats.epoch_ns is not None:
                self._begun = source.stats.epoch_ns
            elif source is not None and source.live:
                self._begun = time.time_ns() - round(event.decided_at * 1e9)
        return self._begun

    @contextmanager
    def _writing(self) -> Iterator[EventBag]:
        """The open file. An error in it leaves what stood at its place."""
        from vljepa_edge.sinks.event_bag import EventBag

        with naming(self._path):
            try:
                if self._bag is None:
                    part = self._place.enter_context(replacing(self._path))
                    self._bag = EventBag(self._place.enter_context(part.open("wb")))
                yield self._bag
            except BaseException as error:
                self._failed = True
                if not self._place.__exit__(type(error), error, error.__traceback__):
                    raise
