"""The store that a running stream writes into. A thread of its own does the writing: no stream waits for a disk."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Literal

from vljepa_edge.errors import StoreError
from vljepa_edge.store.clips import Clip, write_clip
from vljepa_edge.store.database import FILE, LOG, transaction
from vljepa_edge.store.entry import Entry, write
from vljepa_edge.store.keep import Keep, forget, make_room, too_large
from vljepa_edge.store.reader import StoreReader
from vljepa_edge.store.room import HELD, hold, is_full, release
from vljepa_edge.store.writer import Writer
from vljepa_edge.support.arguments import as_path
from vljepa_edge.support.ending import Worker

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception

State = Literal["ok", "full", "failing"]
"""Of a store: what came is on the disk; there is no room for it, although the oldest made way; it can't be written for
another reason."""

WAITING_CLIPS = 4  # the same of clips; each may have 64 MB
WAITING = 512  # events that may wait for the disk; with pictures about 15 MB
_RETRY = 2.0  # seconds after which a store that could not be written is tried again
_SEEN = 10.0  # seconds between two notes of how far the streams have come
_AT_ONCE = 64  # events that are written before it is looked again at what is too old or too much
_FORGET = 60.0  # seconds between two looks at what is too old
_WAY = 3600.0  # seconds in which the oldest may make way for no more than what is written, and these bytes:
_MOST = 2 * HELD
_LAST = 10.0  # seconds that close() gives the disk
_log = logging.getLogger(__name__)


class EventStore:
    """Events in a folder, of one process at a time. Any thread may call it, and only the first call waits for the disk.

    On a full disk the oldest make way. While it is full nevertheless, or fails, the newest 512 events wait, those
    before them are lost and counted, and the log says so once. It goes on by itself.
    """

    def __init__(self, folder: str | os.PathLike[str], model: Perception, keep: Keep | None = None) -> None:
        """Open or make the store, close what was open when the last process died, and forget what is too old.

        model: whose events these are. Raises StoreError for a folder that can't be one, that another process writes
        into, or whose file is broken, of something else or of a newer version. A full disk is not an error: see above.
        """
        self.folder = as_path(folder, "folder")
        self.reader = StoreReader(self.folder)
        self.lost = 0
        self.lost_clips = 0
        self.state: State = "ok"
        self._keep = keep or Keep()
        self._changed = threading.Condition()
        self._waiting: deque[Entry] = deque()
        self._clips: deque[Clip] = deque()
        self._clips_failed = False  # the newest one, so that it is said once
        self._made_way = False  # and that the oldest do
        self._freed = 0  # bytes that made way in this hour, and that nothing was written in the place of
        self._seen: dict[str, tuple[float, float]] = {}  # by stream, what is to be noted
        self._stopping = False
        self._next_seen = self._next_forget = self._next_way = 0.0
        about = model.manifest
        self._file = Writer(self.folder, (model.bundle.digest, f"{about.name} {about.version}", about.embedding.width))
        try:
            self._try_first()
        except BaseException:
            self._file.close()
            raise
        self._thread = Worker(self._run, name="vljepa-store", stop=self._stop)
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Store an event, soon."""
        with self._changed:
            if self._stopping:
                return
            self._waiting.append(entry)
            if len(self._waiting) > WAITING:
                self._waiting.popleft()
                self.lost += 1
            self._changed.notify()

    def put_clip(self, clip: Clip) -> None:
        """Write a clip of events that were put before, soon. Where the disk is too slow for it, or has no room, it is
        lost and counted, and its events stay."""
        with self._changed:
            if self._stopping:
                return
            self._clips.append(clip)
            if len(self._clips) > WAITING_CLIPS:
                self._clips.popleft()
                self.lost_clips += 1
            self._changed.notify()

    def saw(self, stream: str, at: float) -> None:
        """A stream has come to this time, in seconds."""
        with self._changed:
            self._seen[stream] = (at, time.time())

    def close(self) -> None:
        """Write what waits, then close the file. Can be called twice."""
        self._stop()
        self._thread.join(_LAST)

    @property
    def first_free(self) -> int:
        """A number above those of all events that were there when the store was opened."""
        return self._file.first_free

    def _try_first(self) -> None:
        try:
            self._file.open()
        except (sqlite3.Error, OSError) as error:
            if not is_full(error, self.folder):
                raise StoreError(self.folder / FILE, f"can't be written: {error}") from error
            try:
                self._make_room()
            except (sqlite3.Error, OSError) as still:
                self._trouble(still)

    def _run(self) -> None:
        while True:
            stopping = self._stopping  # before the work: what waits when it is set is written, or tried to be
            trouble = False
            try:
                self._work()
                self._fine()
            except Exception as error:  # of whatever type: the thread must not end unsaid
                trouble = True
                self._trouble(error)
            if stopping and (trouble or not self._waiting):
                break
            with self._changed:
                if trouble:
                    self._changed.wait_for(lambda: self._stopping, _RETRY)
                else:
                    self._changed.wait_for(lambda: self._stopping or self._waiting or self._clips, _SEEN)
        self._end()

    def _work(self) -> None:
        """Write what there is. On a full disk room is made, once for each event that finds none."""
        tried = -1
        while True:
            try:
                self._write(self._file.open())
                return
            except Exception as error:
                with self._changed:
                    first = self._waiting[0].number if self._waiting else 0
                if first == tried or not is_full(error, self.folder):
                    raise
                tried = first
                self._make_room()

    def _make_room(self, clip: Clip | None = None) -> sqlite3.Connection:
        """Forget on a full disk what is too old, or else as much of the oldest as the clip, or what waits, takes: it
        may be another program that fills the disk. The connection."""
        with self._changed:
            takes = clip.size if clip is not None else sum(entry.size for entry in islice(self._waiting, _AT_ONCE))
        release(self.folder)
        try:
            connection = self._file.open()
            gone = forget(connection, self.folder, self._keep, self._file.clock.now())
            if takes and not gone:
                self._make_way(connection, takes + min(takes, LOG))
        finally:
            hold(self.folder)
        return connection

    def _make_way(self, connection: sqlite3.Connection, wanted: int) -> None:
        """Forget as much of the oldest as is wanted. Another program may take what that frees, and would come to have
        the room of all that is stored: in an hour little more makes way than is written in its place."""
        if time.monotonic() >= self._next_way:
            self._next_way, self._freed = time.monotonic() + _WAY, 0
        if self._freed > _MOST:
            return
        freed = make_room(connection, self.folder, wanted)
        self._freed += freed
        if freed and not self._made_way:
            _log.warning("the disk of the store %s is full; from now on the oldest make way", self.folder)
            self._made_way = True

    def _write(self, connection: sqlite3.Connection) -> None:
        for _ in range(_AT_ONCE):
            if not self._waiting:
                break
            entry = self._waiting[0]
            try:
                write(connection, entry, self._file.row)
                self._freed = max(0, self._freed - entry.size)
            except sqlite3.IntegrityError:  # its number is taken: the clock was set back while the disk was full
                self.lost += 1
            except (ValueError, OverflowError) as error:  # no store can hold it, and those behind it must not wait
                self.lost += 1
                _log.warning("the store %s can't hold the event %d: %s", self.folder, entry.number, error)
            with self._changed:
                if self._waiting and self._waiting[0] is entry:  # else it made way meanwhile
                    self._waiting.popleft()
        if not self._waiting:  # a clip's events come before it: it is found by them
            self._write_clips(connection)
        now = time.monotonic()
        if now >= self._next_seen or self._stopping:
            with self._changed:
                seen, self._seen = self._seen, {}
            if seen:
                with transaction(connection):
                    rows = [(stream, *times) for stream, times in seen.items()]
                    connection.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", rows)
            self._next_seen = now + _SEEN
        is_held = hold(self.folder)
        if now >= self._next_forget or too_large(connection, self.folder, self._keep):
            forget(connection, self.folder, self._keep, self._file.clock.now())
            if not is_held and not hold(self.folder):
                self._make_way(connection, 0)
            self._next_forget = now + _FORGET

    def _write_clips(self, connection: sqlite3.Connection) -> None:
        while True:
            with self._changed:
                clip = self._clips.popleft() if self._clips else None
            if clip is None:
                return
            try:
                self._write_clip(connection, clip)
                self._clips_failed = False
            except Exception as error:  # PyAV's are of many types
                self.lost_clips += 1
                if not self._clips_failed:
                    _log.warning("the store %s can't take a clip (%s); its events are kept", self.folder, error)
                self._clips_failed = True

    def _write_clip(self, connection: sqlite3.Connection, clip: Clip) -> None:
        try:
            write_clip(connection, self.folder, clip)
        except Exception as error:
            if not is_full(error, self.folder):
                raise
            write_clip(self._make_room(clip), self.folder, clip)
        self._freed = max(0, self._freed - clip.size)

    def _trouble(self, error: Exception) -> None:
        if self.state == "ok":
            _log.warning(
                "the store %s can't be written (%s); streams go on, and events wait for it", self.folder, error
            )
        self.state = "full" if is_full(error, self.folder) else "failing"

    def _fine(self) -> None:
        if self.state != "ok":
            _log.warning("the store %s is written again; %d events were lost", self.folder, self.lost)
            self.state = "ok"

    def _end(self) -> None:
        with self._changed:
            left = len(self._waiting)
            self._waiting.clear()
            self.lost += left
        if left:
            _log.warning("the store %s was closed before %d events could be written", self.folder, left)
        self._file.close()

    def _stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
