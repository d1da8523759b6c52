"""Files that are complete or not there: written beside their place, then moved over it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path beside `target`, with its suffix, to write to; at the end it takes the place of `target`.

    On an error or Ctrl-C it is removed, and what stood at `target` still stands there. A file that is replaced keeps
    its mode and owner, and a link stays a link to the new file. A pipe or device is never replaced: what was written is
    copied into it at the end. Raises OSError.
    """
    status = _status(target)
    if status is not None and not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        with tempfile.TemporaryDirectory(prefix="vljepa-") as folder:
            part = Path(folder, target.name)
            yield part
            with part.open("rb") as written, os.fdopen(os.open(target, os.O_WRONLY), "wb") as special:
                shutil.copyfileobj(written, special)
        return
    place = Path(os.path.realpath(target))
    replaces = status is not None and stat.S_ISREG(status.st_mode)
    part, handle = _part(place, 0o600 if replaces else 0o666)  # what replaces a file is seen by nobody else on the way
    try:
        yield part
        if status is not None:
            _take_over(part, status)
        part.replace(place)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:  # a file of that name is another process's from now on
        os.close(handle)


def require_writable(folder: Path) -> None:
    """Raises OSError where no file can be made in a folder: asking for permission says nothing of a read-only file
    system."""
    with tempfile.TemporaryFile(dir=folder):
        pass


def _part(place: Path, mode: int) -> tuple[Path, int]:
    """An empty file beside `place`, and a handle that tells other processes that it is in use.

    It has one name, so that what a killed process left is used again: only one is ever left. Another name is taken
    where a process uses that one, where it is somebody else's, and where the file system knows no locks.
    """
    part = place.with_name(f".part.{place.name}")
    with contextlib.suppress(OSError, ImportError):
        import fcntl

        handle = os.open(part, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, mode)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            opened, there = os.fstat(handle), os.lstat(part)  # the process that had it may have moved it to its place
            if os.path.samestat(opened, there) and opened.st_uid == os.geteuid() and opened.st_nlink == 1:
                os.fchmod(handle, opened.st_mode & mode)
                os.ftruncate(handle, 0)
                return part, handle
        except OSError:
            os.close(handle)
            raise
        os.close(handle)
    part = place.with_name(f".{secrets.token_hex(4)}.{place.name}")
    return part, os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)


def _status(target: Path) -> os.stat_result | None:
    """Of what stands at `target`, or at the end of its links."""
    try:
        return target.stat()
    except FileNotFoundError:
        return None


def _take_over(part: Path, status: os.stat_result) -> None:
    """Give `part` the owner and mode of the file that it replaces, as far as this user may."""
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):
            os.chown(part, status.st_uid, status.st_gid)
    part.chmod(stat.S_IMODE(status.st_mode))
