"""Files of a bundle that were hashed once and can be looked at again without reading, copying or hashing them."""

from __future__ import annotations

import hashlib
import mmap
import os
from pathlib import Path
from typing import IO


class MappedFile:
    """A file, mapped and hashed. Nobody may cut it short while it is looked at: put another in its place instead."""

    def __init__(self, file: IO[bytes]) -> None:
        """Raises OSError, and ValueError for an empty file."""
        self._stamp = _stamp(os.fstat(file.fileno()))
        self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.sha256 = hashlib.sha256(self.data).hexdigest()

    def release(self) -> None:
        """Give the memory back that looking at it took; it is read again where it is looked at again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.data.madvise(mmap.MADV_DONTNEED)

    def is_at(self, path: Path) -> bool:
        """Whether `path` is still the file that was hashed, unchanged by its times and size."""
        try:
            return _stamp(os.stat(path)) == self._stamp
        except OSError:
            return False


class MappedFiles(dict[str, MappedFile]):
    """By name in the bundle. A copy for another process is empty: there, files are read."""

    def __reduce__(self) -> tuple[type[MappedFiles], tuple[()]]:
        return MappedFiles, ()


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
