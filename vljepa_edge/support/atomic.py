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
    part = place.with_name(f".{secrets.token_hex(4)}.{place.name}")
    try:
        if status is not None and stat.S_ISREG(status.st_mode):
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # seen by nobody else on the way
        yield part
        if status is not None:
            _take_over(part, status)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)


def require_writable(folder: Path) -> None:
    """Raises OSError where no file can be made in a folder: asking for permission says nothing of a read-only file
    system."""
    with tempfile.TemporaryFile(dir=folder):
        pass


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
