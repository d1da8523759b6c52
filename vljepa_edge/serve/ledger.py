"""What goes on in each stream: events get their numbers and pictures, each end finds its beginning."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vljepa_edge.serve.feed import Feed
from vljepa_edge.serve.pictures import PictureRing
from vljepa_edge.store.entry import Entry
from vljepa_edge.streaming.openings import Openings, begins, ends
from vljepa_edge.support.json_numbers import number

if TYPE_CHECKING:
    from vljepa_edge.serve.channel import Channel
    from vljepa_edge.store.store import EventStore
    from vljepa_edge.streaming.event import Event

Told = Mapping[str, Any]
"""An event as clients are told of it."""


class Ledger:
    """Tells a feed, and a store where there is one, of the events of all streams. Any thread may call it.

    Numbers, what goes on and counts change together, under one lock, in the order in which the feed tells them.
    """

    def __init__(self, feed: Feed, pictures: PictureRing, store: EventStore | None) -> None:
        self._feed = feed
        self._pictures = pictures
        self._store = store
        self._lock = threading.Lock()
        self._openings = Openings()
        self._going_on: dict[int, Told] = {}  # events with which began what has not ended, by their numbers
        self._said: dict[str, Told] = {}  # stream -> its newest segment that has a text
        self._counts: dict[tuple[str, str], int] = {}  # (stream, status) -> events

    def publish(self, channel: Channel, event: Event) -> None:
        """Tell of an event of a stream."""
        name, ending = channel.name, ends(event)
        picture = None if ending else channel.tap.near(event.decided_at)
        at = time.time()
        with self._lock:
            begun = self._openings.end(name, event) if ending else None
            shown = picture if begun is None else self._pictures.get(begun)
            if begun is not None:
                self._going_on.pop(begun, None)

            def build(mine: int) -> Told:
                if shown is not None:
                    self._pictures.put(mine, shown)
                told = {
                    "id": mine,
                    "begun": mine if begins(event) else begun,
                    "stream": name,
                    "at": number(at, 3),
                    "picture": None if shown is None else f"/events/{mine}.jpg",
                    **event.to_dict(),
                }
                if begins(event):
                    self._going_on[mine] = told
                if event.is_segment and event.text:
                    self._said[name] = told
                return told

            mine = self._feed.publish(name, build)
            if begins(event):
                self._openings.begin(name, event, mine)
                begun = mine
            if self._store is not None:
                self._store.put(Entry(mine, begun, name, at, event, picture))
            if channel.recorder is not None and begins(event):
                channel.recorder.begins(mine, event.start)
            key = (name, event.status)
            self._counts[key] = self._counts.get(key, 0) + 1

    def forget(self, name: str) -> None:
        """A stream is no more."""
        with self._lock:
            self._openings.forget(name)
            self._going_on = {mine: told for mine, told in self._going_on.items() if told["stream"] != name}
            self._said.pop(name, None)
            self._counts = {key: count for key, count in self._counts.items() if key[0] != name}

    def counts(self) -> dict[tuple[str, str], int]:
        """Events so far, by stream and status."""
        with self._lock:
            return dict(self._counts)

    def now(self, name: str) -> tuple[list[Told], Told | None]:
        """The events with which began what goes on in a stream, oldest first; and the newest segment that has a text,
        open or closed."""
        with self._lock:
            return [told for told in self._going_on.values() if told["stream"] == name], self._said.get(name)
