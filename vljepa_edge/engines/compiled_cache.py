"""Compiled graphs on disk: what an engine compiled is there for the next process, which then starts in less time.

An entry is the engine's bytes, notes about them, and a SHA-256 over both. An entry that is cut off, altered, or not of
this user is as good as none. Nothing here raises for a folder that can't be read or written: a start without the cache
takes longer, and that is all.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.cache import cache_dir

VARIABLE = "VLJEPA_COMPILED"
"""Of the environment: the folder of the compiled graphs, or "off" to keep none."""
OFF = "off"
LIMIT = 512 << 20  # bytes of all entries together: about nine of the default model's
LONGEST_UNUSED = 30 * 86400.0  # seconds
_SUFFIX = ".compiled"
_HASH = 32  # bytes of a SHA-256
_LENGTH = 8  # bytes that say how long the notes are


class Kept(NamedTuple):
    """An entry. `data` maps the file: nothing is read before it is used, and writing to it changes no file."""

    data: memoryview
    notes: dict[str, Any]


def compiled_root() -> Path | None:
    """The folder of all compiled graphs of this user; None: keep none."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen.lower() == OFF:
        return None
    try:
        return Path(chosen).expanduser() if chosen else cache_dir() / "compiled"
    except RuntimeError:  # there is no home folder
        return None


class CompiledCache:
    """Entries by a key, all for one `place`: an engine at one version on one kind of machine. Safe from many threads
    and processes: entries appear complete, and one that is in use stays readable when it is removed."""

    def __init__(self, root: Path, place: str, limit: int = LIMIT) -> None:
        """root: shared by all places. place: the name of a folder in it. limit: bytes of all places together."""
        self._root, self._folder, self._limit = root, root / place, limit

    def get(self, key: str) -> Kept | None:
        """The entry of a key. One that is damaged is removed."""
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                if not _is_trusted(file.fileno()):
                    return None
                mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        except (OSError, ValueError):  # not there; empty
            return None
        kept = _read(mapped)
        if kept is None:
            self.drop(key)
            return None
        with suppress(OSError):
            os.utime(path)  # it was used now
        return kept

    def put(self, key: str, data: bytes, notes: dict[str, Any]) -> None:
        """Keep an entry, unless it alone takes half of the limit or more."""
        written = json.dumps(notes).encode()
        tail = written + len(written).to_bytes(_LENGTH, "little")
        if len(data) + len(tail) + _HASH > self._limit // 2:
            return
        digest = hashlib.sha256(data)
        digest.update(tail)
        with suppress(OSError):  # read-only, full, no folder
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with replacing(self._path(key)) as part, open(part, "wb") as file:
                file.write(data)
                file.write(tail + digest.digest())
            self._trim()

    def drop(self, key: str) -> None:
        """Forget an entry."""
        with suppress(OSError):
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"

    def _trim(self) -> None:
        """Remove what was not used for long, then what was used longest ago until the rest is within the limit."""
        found = []
        for path in self._root.glob(f"*/*{_SUFFIX}"):  # what an interrupted write left behind has the suffix too
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        total, oldest = sum(size for _, size, _ in found), time.time() - LONGEST_UNUSED
        for used, size, path in sorted(found):
            if used >= oldest and total <= self._limit:
                break
            with suppress(OSError):
                path.unlink()
                total -= size
        for folder in self._root.glob("*/"):
            with suppress(OSError):  # most are not empty
                if folder != self._folder:
                    folder.rmdir()


def _is_trusted(descriptor: int) -> bool:
    """Whether a file is of this user, or of the system's: an engine believes what its compiled graphs say."""
    return not hasattr(os, "geteuid") or os.fstat(descriptor).st_uid in (os.geteuid(), 0)


def _read(mapped: memoryview) -> Kept | None:
    """The entry in the bytes of a file; None when they are not what was written."""
    end = len(mapped) - _HASH
    if end < _LENGTH or hashlib.sha256(mapped[:end]).digest() != bytes(mapped[end:]):
        return None
    length = int.from_bytes(mapped[end - _LENGTH : end], "little")
    start = end - _LENGTH - length
    if start < 0:
        return None
    try:
        notes = json.loads(bytes(mapped[start : end - _LENGTH]))
    except ValueError:
        return None
    return Kept(mapped[:start], notes) if isinstance(notes, dict) else None
