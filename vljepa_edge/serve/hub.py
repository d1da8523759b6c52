"""The hub: named streams on one Model, one feed of their events, and pictures of them."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vljepa_edge.errors import InputError
from vljepa_edge.serve.channel import ENDING, Channel
from vljepa_edge.serve.feed import Feed
from vljepa_edge.serve.heads import check_heads, replace_heads
from vljepa_edge.serve.ledger import Ledger
from vljepa_edge.serve.pictures import PictureRing
from vljepa_edge.serve.refusal import name_taken, too_many, unknown_stream
from vljepa_edge.serve.shelf import HeadShelf
from vljepa_edge.store.recorder import Recorder
from vljepa_edge.streaming.asking import read_queries
from vljepa_edge.streaming.options import StreamOptions
from vljepa_edge.streaming.policy import parse_policy
from vljepa_edge.streaming.watch import HOLD
from vljepa_edge.support.arguments import shown
from vljepa_edge.support.json_numbers import number

if TYPE_CHECKING:
    from vljepa_edge.model import Model
    from vljepa_edge.perception.head import Head
    from vljepa_edge.store.recorder import Around
    from vljepa_edge.store.store import EventStore
    from vljepa_edge.streaming.policy import Policy
    from vljepa_edge.streaming.watch import WatchLike
    from vljepa_edge.video.source import SourceLike

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_UNSET: Any = object()


@dataclass(frozen=True)
class Limits:
    """What a server takes.

    streams   at once
    clients   of events and, apart from them, of live pictures
    events    kept for clients that come later
    pictures  kept of the newest events; about 30 KB each
    """

    streams: int = 16
    clients: int = 32
    events: int = 1000
    pictures: int = 256


class Hub:
    """Streams by name, which come and go while others run. Any thread may call any method."""

    def __init__(
        self,
        model: Model,
        limits: Limits | None = None,
        options: StreamOptions | None = None,
        store: EventStore | None = None,
        shelf: HeadShelf | None = None,
        record: Around | None = None,
    ) -> None:
        """options: of streams that are added without. store: where events are kept; the hub closes it. shelf: heads
        that clients may name. record: how much of the sources' video is in clips beside the events; None: there are no
        clips."""
        if record is not None and store is None:
            raise InputError("record must come with a store, in which clips are kept")
        self._record = record
        self.model = model
        self.options = options or StreamOptions()
        self.limits = limits or Limits()
        self.store = store
        self.shelf = shelf or HeadShelf(model)
        self.feed = Feed(self.limits.events, self.limits.clients, 0 if store is None else store.first_free)
        self.pictures = PictureRing(self.limits.pictures)
        self.ledger = Ledger(self.feed, self.pictures, store)
        self._lock = threading.RLock()  # streams that come and go
        self._channels: dict[str, Channel] = {}  # replaced, never changed: who reads it waits for no stream to be added
        self._closed = False

    def add(
        self,
        source: SourceLike,
        name: str | None = None,
        *,
        query: str | Sequence[str] | None = None,
        watch: WatchLike = (),
        hold: float = HOLD,
        heads: Sequence[Head] = (),
        options: StreamOptions | None = None,
    ) -> Channel:
        """Begin to read a source. Without a name it gets one after the source.

        Arguments are those of `Model.open_stream` and `Stream.watch`. A camera or an address need not be there yet: it
        is opened again and again. Raises InputError and VideoError for what can't be, Refusal for a name that is taken
        and one stream too many.
        """
        with self._lock:
            if self._closed:
                raise InputError("this hub is closed")
            chosen = self._free_name(source) if name is None else read_name(name)
            if chosen in self._channels:
                raise name_taken(chosen)
            if len(self._channels) >= self.limits.streams:
                raise too_many("streams", self.limits.streams)
            stream = self.model.open_stream(
                query,
                live=True,
                options=options or self.options,
                callback=lambda event: self.ledger.publish(channel, event),
            )
            try:
                if watch:
                    stream.watch(watch, hold)
                for head in heads:
                    stream.add_head(head, hold=hold)
                seen = None if self.store is None else partial(self.store.saw, chosen)
                channel = Channel(chosen, source, stream, self._recorder(chosen), seen)
            except BaseException:
                stream.close()
                raise
            stream.subscribe(lambda moment, _, asked: self._on_hop(channel, moment, asked))
            self._channels = {**self._channels, chosen: channel}
        channel.start()
        return channel

    def remove(self, name: str) -> None:
        """Stop a stream and forget it; its open segments close. Raises Refusal for a name that is not there."""
        with self._lock:
            channel = self.channel(name)
            self._channels = {kept: other for kept, other in self._channels.items() if kept != name}
        channel.close()
        self.ledger.forget(name)

    def change(
        self,
        name: str,
        *,
        query: str | Sequence[str] = _UNSET,
        watch: WatchLike = _UNSET,
        hold: float = HOLD,
        policy: str | Policy = _UNSET,
        heads: Sequence[Head] = _UNSET,
    ) -> Channel:
        """Ask, watch for, or cut by something else, from the next hop on; what was open closes now. A head that stays
        goes on; `hold` is of the labels, and of heads that are new.

        All of it or, where one can't be, none. Raises as add() does.
        """
        channel = self.channel(name)
        stream = channel.stream
        asked = None if query is _UNSET else read_queries(query)
        cut = None if policy is _UNSET else parse_policy(policy)
        if heads is not _UNSET:
            check_heads(heads, self.model)
        if watch is not _UNSET:
            stream.watch(watch, hold)  # the last that can be refused
        if heads is not _UNSET:
            replace_heads(stream, heads, hold)
        if asked is not None:
            stream.set_query(asked)
        if cut is not None:
            stream.set_policy(cut)
        return channel

    def channel(self, name: str) -> Channel:
        """The stream of this name. Raises Refusal."""
        found = self._channels.get(name)
        if found is None:
            raise unknown_stream(name, list(self._channels))
        return found

    @property
    def channels(self) -> tuple[Channel, ...]:
        """All streams, in the order in which they were added."""
        return tuple(self._channels.values())

    @property
    def closed(self) -> bool:
        """Whether close() was called; `channels` is empty then."""
        return self._closed

    def close(self) -> None:
        """Stop all streams, tell clients of the segments that close with them, then that there is no more."""
        with self._lock:
            self._closed = True
            channels, self._channels = self.channels, {}
        for channel in channels:
            channel.stop()
        until = monotonic() + ENDING  # however many hang
        for channel in channels:
            channel.close(until)
        self.feed.close()
        if self.store is not None:
            self.store.close()

    def _on_hop(self, channel: Channel, moment: float, query: str) -> None:
        change = channel.stream.changes.get(query)
        hop = {"stream": channel.name, "time": number(moment, 3), "query": query, "change": number(change, 5)}
        self.feed.tell_hop(channel.name, hop)

    def _recorder(self, name: str) -> Recorder | None:
        if self.store is None or self._record is None:
            return None
        return Recorder(name, self.store.put_clip, self._record)

    def _free_name(self, source: SourceLike) -> str:
        base = name_after(source)
        taken = (f"{base[:28]}-{count}" for count in range(2, len(self._channels) + 3))
        return base if base not in self._channels else next(name for name in taken if name not in self._channels)


def read_name(name: object) -> str:
    """A stream's name. Raises InputError."""
    if isinstance(name, str) and NAME.fullmatch(name):
        return name
    raise InputError(
        f"a stream's name must be at most 32 letters, digits, _ and -, the first no _ or -, got {shown(name)}"
    )


def name_after(source: SourceLike) -> str:
    """A name for a stream that has none: of the file, the camera or the host."""
    text = source if isinstance(source, str) else "stream"
    if "://" in text:
        try:
            text = urlsplit(text).hostname or "stream"
        except ValueError:
            text = "stream"
    elif not text.startswith("camera:"):
        text = PurePath(text).stem
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:32].strip("-") or "stream"
