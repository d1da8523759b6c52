"""Records from streams to clients: the newest are kept for who comes later, and nobody waits for a slow client."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Literal, NamedTuple

from vljepa_edge.serve.refusal import too_many

Kind = Literal["event", "hop"]
_QUEUED = 512  # records that may wait for one client


class Record(NamedTuple):
    """What clients are told. `number` rises from event to event; None: a hop, which is told to who is there.

    data  a JSON object on one line
    """

    kind: Kind
    number: int | None
    stream: str
    data: str


class Batch(NamedTuple):
    """What came for a client since it last asked. `end` says why nothing more will come, or None."""

    records: list[Record]
    end: Literal["slow", "closed"] | None


class Client:
    """One who listens. Its queue is bounded: who lets it fill is told no more.

    lost: events after `since` that are not kept any more. first: the number from which on it is told.
    """

    def __init__(
        self,
        wake: Callable[[], object],
        stream: str | None,
        hops: bool,
        backlog: list[Record],
        lost: int,
        first: int,
    ) -> None:
        self.lost = lost
        self.first = first
        self._wake = wake
        self._stream = stream
        self._hops = hops
        self._lock = threading.Lock()
        self._waiting = deque(backlog)
        self._most = len(backlog) + _QUEUED
        self._end: Literal["slow", "closed"] | None = None

    def wants(self, record: Record) -> bool:
        """Whether it asked for such records."""
        return self._stream in (None, record.stream) and (record.kind == "event" or self._hops)

    @property
    def wants_hops(self) -> bool:
        """Whether it asked for hops, too."""
        return self._hops

    def offer(self, record: Record) -> bool:
        """Queue a record; False when that was one too many. A hop is left out where half of the queue is full."""
        with self._lock:
            if record.kind == "hop" and len(self._waiting) * 2 >= self._most:
                return True
            fits = len(self._waiting) < self._most
            if fits:
                self._waiting.append(record)
            else:
                self._end = "slow"
        self._wake()
        return fits

    def close(self) -> None:
        """Nothing more will come."""
        with self._lock:
            self._end = self._end or "closed"
        self._wake()

    def take(self) -> Batch:
        """What waits."""
        with self._lock:
            records = list(self._waiting)
            self._waiting.clear()
            return Batch(records, self._end)


class Feed:
    """Gives events their numbers, keeps the newest, and tells clients. Any thread may call it; no call waits.

    Numbers begin at the time in milliseconds, so that they rise from one start of the server to the next, and a client
    that comes back after a restart can say which event it saw last.
    """

    def __init__(self, kept: int, most_clients: int, least: int = 0) -> None:
        """least: no number is smaller, even where the clock was set back."""
        self._lock = threading.Lock()
        self._kept: deque[Record] = deque()
        self._most_kept = kept
        self._most_clients = most_clients
        self._clients: tuple[Client, ...] = ()
        self._wakes: tuple[Callable[[], object], ...] = ()
        self._first = self._next = max(int(time.time() * 1000), least)
        self._closed = False
        self.dropped_clients = 0

    def publish(self, stream: str, build: Callable[[int], Mapping[str, Any]]) -> int:
        """Tell of an event, which `build` makes of its number; returns the number."""
        with self._lock:
            number = self._next
            record = Record("event", number, stream, _line(build(number)))
            self._next += 1
            self._kept.append(record)
            if len(self._kept) > self._most_kept:
                self._kept.popleft()
            self._tell(record)
            self._wake()
        return number

    def tell_hop(self, stream: str, hop: Mapping[str, Any]) -> None:
        """Tell of a hop, which is not kept."""
        with self._lock:
            if any(client.wants_hops for client in self._clients):
                self._tell(Record("hop", None, stream, _line(hop)))

    def join(self, wake: Callable[[], object], *, since: int | None, stream: str | None, hops: bool) -> Client:
        """A new client, to be told from now on, and first of the kept events after `since`. `wake` is called, from any
        thread, when something waits. Raises Refusal where there are too many."""
        with self._lock:
            if len(self._clients) >= self._most_clients:
                raise too_many("clients of events", self._most_clients)
            backlog, lost = ([], 0) if since is None else self._after(since, len(self._kept))
            first = next((r.number for r in backlog if r.number is not None), self._next)
            client = Client(wake, stream, hops, [r for r in backlog if stream in (None, r.stream)], lost, first)
            self._clients += (client,)
            if self._closed:
                client.close()
        return client

    def after(self, number: int, most: int) -> tuple[list[Record], int]:
        """The kept events after a number, oldest first, at most `most`; and how many after it are not kept any more.
        For who reads at its own pace: see wake_at_events()."""
        with self._lock:
            return self._after(number, most)

    def wake_at_events(self, wake: Callable[[], object]) -> None:
        """Call `wake`, from any thread, at every event from now on and when the feed is closed."""
        with self._lock:
            self._wakes += (wake,)

    @property
    def newest(self) -> int:
        """The number of the newest event; that before the first where none has been told."""
        return self._next - 1

    @property
    def first(self) -> int:
        """The number of the first event of this feed."""
        return self._first

    @property
    def closed(self) -> bool:
        """Whether nothing more will come."""
        return self._closed

    def leave(self, client: Client) -> None:
        """It is told no more."""
        with self._lock:
            self._clients = tuple(other for other in self._clients if other is not client)

    def close(self) -> None:
        """Nothing more will come, for anyone."""
        with self._lock:
            self._closed = True
            for client in self._clients:
                client.close()
            self._wake()

    @property
    def clients(self) -> int:
        """How many listen."""
        return len(self._clients)

    def _after(self, number: int, most: int) -> tuple[list[Record], int]:
        oldest = self._next - len(self._kept)
        begin = max(0, number + 1 - oldest)  # numbers have no gaps
        return list(islice(self._kept, begin, begin + most)), max(0, oldest - max(number + 1, self._first))

    def _wake(self) -> None:
        for wake in self._wakes:
            wake()

    def _tell(self, record: Record) -> None:
        for client in self._clients:
            if client.wants(record) and not client.offer(record):
                self.dropped_clients += 1
                self._clients = tuple(other for other in self._clients if other is not client)


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
