"""A bounded queue between a camera and a worker: the latest items win."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestQueue(Generic[T]):
    """At most `size` items. `put` never waits: it pushes the oldest out. One thread gets, any may put."""

    def __init__(self, size: int) -> None:
        self._items: deque[tuple[int, T]] = deque(maxlen=size)
        self._changed = threading.Condition()
        self._added = 0
        self._working: int | None = None
        self._closed = False

    def put(self, item: T) -> bool:
        """Add an item; True when an older one was dropped for it, or the item because the queue is closed."""
        with self._changed:
            if self._closed:
                return True
            full = len(self._items) == self._items.maxlen
            self._added += 1
            self._items.append((self._added, item))
            self._changed.notify_all()
            return full

    def __len__(self) -> int:
        """Items that wait."""
        return len(self._items)

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    def get(self, timeout: float | None = None) -> T | None:
        """Wait for the oldest item and take it; None once the queue is closed, or after `timeout` seconds without an
        item. Call `done` when finished with it."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout)
            if self._closed or not self._items:
                return None
            self._working, item = self._items.popleft()
            return item

    def newest(self, item: T) -> tuple[T, int]:
        """The newest item, to work on instead of `item`, which was taken; and how many are dropped for it."""
        with self._changed:
            dropped = len(self._items)
            if dropped:
                self._working, item = self._items[-1]
                self._items.clear()
                self._changed.notify_all()
            return item, dropped

    def done(self) -> None:
        """The item that was taken is finished."""
        with self._changed:
            self._working = None
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until everything that was put before this call is finished or dropped, or the queue is closed."""
        with self._changed:
            last = self._added
            self._changed.wait_for(lambda: self._closed or self._oldest() > last)

    def clear(self) -> None:
        """Drop what waits."""
        with self._changed:
            self._items.clear()
            self._changed.notify_all()

    def close(self) -> int:
        """Drop what waits and release whoever waits. Returns how many items were dropped."""
        with self._changed:
            self._closed = True
            dropped = len(self._items)
            self._items.clear()
            self._changed.notify_all()
            return dropped

    def _oldest(self) -> int:
        """The number of the oldest item that is queued or in work; beyond all when there is none."""
        if self._working is not None:
            return self._working
        return self._items[0][0] if self._items else self._added + 1
