"""The SQLite file of a store: what is in it, and how it is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vljepa_edge.errors import StoreError

FILE = "events.db"
CLIPS = "clips"  # a folder beside it
LOG_PAGES = 256  # of 4096 bytes: what the write-ahead log stays near
LOG = LOG_PAGES * 4096
SCHEMA = 1
_APPLICATION = 0x564C4A45  # "VLJE": tells a store from another program's SQLite file
_MAGIC = b"SQLite format 3\0"
_HEAD = 100  # bytes; the application id is at 68, the version at 60 (sqlite.org/fileformat.html)
_PATIENCE = 10.0  # seconds to wait for another connection's transaction

# Of an event: `id` is its number; `begun` the number of the event with which it began, its own for a beginning; `at`
# Unix time at which it was told; `began_at` and `ended_at` Unix time of `start` and `end`; `interrupted` 1 where the
# process died before the end. `embedding` is float16, unit norm, NULL where there is none.
# `seen` holds how far each stream had come, for what is open when the process dies.
_TABLES = (
    """CREATE TABLE model (
        id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, name TEXT NOT NULL, width INTEGER NOT NULL
    )""",
    """CREATE TABLE clip (
        id INTEGER PRIMARY KEY, file TEXT NOT NULL UNIQUE, stream TEXT NOT NULL,
        start REAL NOT NULL, "end" REAL NOT NULL, bytes INTEGER NOT NULL
    )""",
    """CREATE TABLE event (
        id INTEGER PRIMARY KEY, begun INTEGER, stream TEXT NOT NULL, at REAL NOT NULL,
        began_at REAL NOT NULL, ended_at REAL, status TEXT NOT NULL, start REAL NOT NULL, "end" REAL,
        decided_at REAL NOT NULL, text TEXT NOT NULL, confidence REAL, wording TEXT NOT NULL,
        reused INTEGER NOT NULL, change REAL, query TEXT NOT NULL, segment INTEGER NOT NULL, latency_ms TEXT NOT NULL,
        interrupted INTEGER NOT NULL DEFAULT 0, model INTEGER NOT NULL REFERENCES model (id), embedding BLOB,
        clip INTEGER REFERENCES clip (id)
    )""",
    "CREATE TABLE picture (event INTEGER PRIMARY KEY REFERENCES event (id) ON DELETE CASCADE, jpeg BLOB NOT NULL)",
    "CREATE TABLE seen (stream TEXT PRIMARY KEY, time REAL NOT NULL, at REAL NOT NULL)",
    "CREATE INDEX event_begun ON event (begun)",
    "CREATE INDEX event_at ON event (at)",
    "CREATE INDEX event_clip ON event (clip) WHERE clip IS NOT NULL",
)


def open_for_writing(path: Path) -> sqlite3.Connection:
    """A connection that any one thread at a time may use. A file that is not there is made.

    It keeps a write-ahead log, so that readers don't wait for it, and syncs that to the disk at each commit (FULL):
    events are few, a thread of their own writes them, and the last ones before a power cut are those asked for.

    Raises StoreError for a file of something else, sqlite3.Error where it can't be written now.
    """
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        if _is_new(connection, path):
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that retention can give disk back
            with transaction(connection):
                for table in _TABLES:
                    connection.execute(table)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = FAST").fetchall()  # else a deletion writes zeros over all of it
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {LOG}")
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(folder: Path) -> sqlite3.Connection:
    """A connection to the store in a folder, while a server writes into it or not. Raises StoreError."""
    path = folder / FILE
    if not path.is_file():
        raise StoreError(folder, f"no event store: there is no {FILE} in it")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE)
    except sqlite3.Error as error:
        raise StoreError(path, f"can't be opened: {error}") from error
    try:
        if _is_new(connection, path):
            raise StoreError(path, "nothing was stored in it yet")
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(path, f"can't be read: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def check_file(folder: Path) -> None:
    """Raises StoreError where the file in a folder is not a store of this version, by its first bytes. SQLite doesn't
    open it: a process that was killed may have left work in it that only a writer can finish."""
    path = folder / FILE
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(path, f"can't be read: {error.strerror}") from error
    if head:
        _check(path, head.startswith(_MAGIC), *(int.from_bytes(head[at : at + 4], "big") for at in (68, 60)))


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of what is executed in it, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors have rolled it back already
            connection.execute("ROLLBACK")
        raise


def _is_new(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether nothing is in it. Raises StoreError where it is not a store that this version can read."""
    try:
        connection.execute("BEGIN")  # so that all three are of one moment: it may be being made
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            _check(path, False, 0, 0)
        raise
    if tables and not (application or version):
        _check(path, True, -1, 0)
    _check(path, True, application, version)
    return not tables


def _check(path: Path, is_sqlite: bool, application: int, version: int) -> None:
    """Raises StoreError; a file in which nothing is has zeros."""
    if not is_sqlite:
        raise StoreError(path, "is not an SQLite file; name another folder, or move it away")
    if (application, version) == (0, 0):
        return
    if application != _APPLICATION:
        raise StoreError(path, "is an SQLite file of something else; name another folder, or move it away")
    if version != SCHEMA:
        raise StoreError(path, f"has version {version}, this release reads {SCHEMA}; update vljepa-edge")
