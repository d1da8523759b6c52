"""Room on the disk. A store holds some back in a file of its own: to forget, it must write first, and on a full disk no
event would ever make way for another one."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

RESERVE = "reserve"  # a file beside that of the store
HELD = 4_000_000  # bytes; the write-ahead log, 1 MB, and what the file may grow by when the log is copied into it
_NOTHING = 65_536  # bytes; with fewer the index of the log can't be made, which SQLite calls an I/O error


def hold(folder: Path) -> bool:
    """Hold room back, unless it is; whether the disk has it. A file system that can hold none back has it, too."""
    path = folder / RESERVE
    try:
        handle = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            if os.fstat(handle).st_size < HELD:
                os.posix_fallocate(handle, 0, HELD)
        finally:
            os.close(handle)
    except OSError as error:
        with suppress(OSError):
            release(folder)
        return not is_full(error, folder)
    return True


def release(folder: Path) -> None:
    """Give the disk what was held back."""
    (folder / RESERVE).unlink(missing_ok=True)


def is_full(error: Exception, folder: Path) -> bool:
    """Whether something failed because the disk of a folder is full."""
    if "disk is full" in str(error) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return True
    try:
        return isinstance(error, sqlite3.OperationalError) and shutil.disk_usage(folder).free < _NOTHING
    except OSError:
        return False
