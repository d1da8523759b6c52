"""The folder of a store: of one process at a time, and the same one as before or not."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from vljepa_edge.errors import StoreError


def lock(folder: Path) -> int:
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


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one that takes its place; None where there is none."""
    try:
        about = path.stat()
    except FileNotFoundError:
        return None
    return about.st_dev, about.st_ino
