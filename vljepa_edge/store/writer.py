"""The file of a store, open for writing: by one process at a time, and again where it was taken away."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from vljepa_edge.errors import StoreError
from vljepa_edge.store.clips import sweep
from vljepa_edge.store.clock import LastingClock
from vljepa_edge.store.database import FILE, open_for_writing, transaction
from vljepa_edge.store.entry import close_interrupted, last_time, newest

_log = logging.getLogger(__name__)


class Writer:
    """The connection to the file of a store, and the lock on its folder. For one thread at a time.

    row         of the model, once the file is open
    first_free  a number above those of all events that were there when the file was opened; 1 before
    clock       by which it is forgotten
    """

    def __init__(self, folder: Path, model: tuple[str, str, int]) -> None:
        """Lock the folder, which is made. model: its digest, name and width. Raises StoreError."""
        self.row, self.first_free = 0, 1
        self.clock = LastingClock(None)
        self._folder, self._model = folder, model
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # which one the connection is to
        self._lock: int | None = _lock(folder)

    def open(self) -> sqlite3.Connection:
        """The connection, which is made where there is none, or its file was removed. The first time, what was open
        when the last process died is closed. Raises StoreError, sqlite3.Error and OSError."""
        path, is_first = self._folder / FILE, self._file is None
        if self._connection is not None:
            if _identity(path) == self._file:
                return self._connection
            _log.warning("the store %s was removed or moved away; it begins again", self._folder)
            self.close()
        if self._lock is None:
            self._lock = _lock(self._folder)
        connection = open_for_writing(path)
        try:
            with transaction(connection):
                connection.execute("INSERT OR IGNORE INTO model (digest, name, width) VALUES (?, ?, ?)", self._model)
            (self.row,) = connection.execute("SELECT id FROM model WHERE digest = ?", self._model[:1]).fetchone()
            if is_first:  # else nothing was interrupted: this process goes on
                self.clock = LastingClock(last_time(connection))
                close_interrupted(connection)
                sweep(connection, self._folder)
            self.first_free = newest(connection) + 1
            self._file = _identity(path)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def close(self) -> None:
        """Close the file and let other processes have the folder. It can be opened again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def _lock(folder: Path) -> int:
    """A handle that keeps other processes from writing into a folder, which is made. The system releases it however a
    process ends. Raises StoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise StoreError(folder, f"can't be a store: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise StoreError(folder, "another process writes into it; stop that one, or name another folder") from error
    except OSError as error:  # of a file system without locks, as some of other machines are
        os.close(handle)
        raise StoreError(folder, f"can't be locked ({error.strerror}); name a folder of a local disk") from error
    return handle


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one that takes its place; None where there is none."""
    try:
        about = path.stat()
    except FileNotFoundError:
        return None
    return about.st_dev, about.st_ino
