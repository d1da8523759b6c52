"""A folder that one process at a time works in."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path, on_wait: Callable[[], object] = lambda: None) -> Iterator[bool]:
    """Waits until no other process holds the folder. False on a file system without locks. on_wait: called where it has
    to wait."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)  # a child that was forked meanwhile holds the handle too
    finally:
        os.close(handle)
