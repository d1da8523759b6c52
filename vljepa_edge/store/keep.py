"""How much a store keeps: by age and by size. What is forgotten gives its disk back."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vljepa_edge.errors import InputError
from vljepa_edge.store.database import CLIPS, FILE, LOG_PAGES, transaction
from vljepa_edge.store.room import HELD, hold

LEAST = 8_000_000  # bytes; below, the write-ahead log would be a large part
_BATCH = 100  # things in a transaction, so that no reader and no event waits for long
_FEW = 5  # the same where it is looked after each whether the rest fits: one may have a large clip
_AIM = 0.9  # of the size that may be: not at every event some make way

# What may be forgotten: that of which the end was told, or which has none. What still goes on may not: its end, told
# later, would have neither beginning nor picture. Age is that of the end.
_OVER = "SELECT id, begun FROM event WHERE begun IS NOT id"
_TOO_OLD = f"{_OVER} AND at < ? ORDER BY at LIMIT {_BATCH}"
_OLDEST = f"{_OVER} ORDER BY id LIMIT {_FEW}"
_OLDEST_BEGUN = f"SELECT id, begun FROM event ORDER BY id LIMIT {_FEW}"


@dataclass(frozen=True)
class Keep:
    """What is kept; the oldest make way, each with its beginning, its picture and its clip.

    age   seconds, None: for ever
    size  bytes of the file and the clips together, None: as many as the disk has. At least 8 MB
    """

    age: float | None = 7 * 86400.0
    size: int | None = 2_000_000_000

    def __post_init__(self) -> None:
        if self.age is not None and not self.age > 0:
            raise InputError(f"age must be more than 0 seconds, got {self.age}")
        if self.size is not None and self.size < LEAST:
            raise InputError(f"size must be at least {LEAST} bytes, got {self.size}")


def forget(connection: sqlite3.Connection, folder: Path, keep: Keep, now: float) -> bool:
    """Forget what is older than `keep` says, then the oldest until the rest fits; whether that gave the disk anything
    back. What goes on makes way last of all: only for the size, where nothing else is left."""
    gone = False
    if keep.age is not None:
        while _forget(connection, folder, _TOO_OLD, now - keep.age):
            gone = True
    if keep.size is not None and too_large(connection, folder, keep):
        gone |= _give_back(connection)
        while _used(connection) > _AIM * keep.size:
            if not (_forget(connection, folder, _OLDEST) or _forget(connection, folder, _OLDEST_BEGUN)):
                break
            gone = True
    return _give_back(connection) or gone


def make_room(connection: sqlite3.Connection, folder: Path, wanted: int) -> int:
    """Forget the oldest that are over, so that a full disk has `wanted` bytes more, and room is held back again; how
    many bytes that was: none, where all of it would not be enough."""
    _give_back(connection)
    before, freed = _used(connection), 0
    if wanted + HELD - shutil.disk_usage(folder).free > before:
        return 0
    while _forget(connection, folder, _OLDEST):
        freed = before - _used(connection)
        if freed >= wanted:
            _give_back(connection)
            if hold(folder) or freed >= wanted + HELD:  # or another program takes what is freed
                break
    return freed


def _forget(connection: sqlite3.Connection, folder: Path, which: str, *given: float) -> int:
    """Forget the events that a query finds, each with that with which it began; how many it found."""
    with transaction(connection):
        found = connection.execute(which, given).fetchall()
        connection.executemany("DELETE FROM event WHERE id IN (?, ?)", found)
        unused = connection.execute(
            "SELECT id, file FROM clip WHERE NOT EXISTS (SELECT 1 FROM event WHERE event.clip = clip.id)"
        ).fetchall()
        connection.executemany("DELETE FROM clip WHERE id = ?", [(ident,) for ident, _ in unused])
    for _, file in unused:  # after the rows: a clip without a row is swept away later, a row without its clip is not
        (folder / CLIPS / file).unlink(missing_ok=True)
    return len(found)


def _give_back(connection: sqlite3.Connection) -> bool:
    """Return free pages of the file to the disk, and the log; whether there were any. A part at a time: the log has
    what is moved meanwhile."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    for _ in range(0, free, LOG_PAGES):
        connection.executescript(f"PRAGMA incremental_vacuum({LOG_PAGES})")  # execute() would stop after its first page
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return bool(free)


def too_large(connection: sqlite3.Connection, folder: Path, keep: Keep) -> bool:
    """Whether the file, its log and the clips take more than they may."""
    taken = _clips(connection)
    for name in (FILE, f"{FILE}-wal"):
        with suppress(FileNotFoundError):
            taken += (folder / name).stat().st_size
    return keep.size is not None and taken > keep.size


def _used(connection: sqlite3.Connection) -> int:
    """Bytes of what is stored, free pages left out."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size) + _clips(connection)


def _clips(connection: sqlite3.Connection) -> int:
    (size,) = connection.execute("SELECT coalesce(sum(bytes), 0) FROM clip").fetchone()
    return int(size)
