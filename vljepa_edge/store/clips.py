"""Clips beside the file of a store: each is complete and has its row, or is not there."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_edge.store.database import CLIPS, transaction
from vljepa_edge.support.atomic import replacing

if TYPE_CHECKING:
    from vljepa_edge.video.packets import Cut

_OURS = re.compile(r"(\.(part|[0-9a-f]{8})\.)?[0-9]{1,19}\.(mp4|mkv)")  # a clip, or one that is being written

_A_PACKET, _A_FILE = 64, 16_384  # bytes that a container has for each, at most about


@dataclass(frozen=True)
class Clip:
    """A clip that is to be written: a stretch of a stream, and the events that begin in it. Times are of the stream."""

    stream: str
    cut: Cut
    start: float
    events: tuple[int, ...]

    @property
    def end(self) -> float:
        """Time of the last frame."""
        return self.start + self.cut.end - self.cut.start

    @property
    def size(self) -> int:
        """Bytes of its file, about."""
        return sum(shown.packet.data.size + _A_PACKET for shown in self.cut.packets) + _A_FILE


def write_clip(connection: sqlite3.Connection, folder: Path, clip: Clip) -> None:
    """Write a clip, sync it to the disk, as the rows are, then write the row that names it. Raises OSError, of which
    PyAV's errors are some, and sqlite3.Error; then there is no such file."""
    path = folder / CLIPS / f"{clip.events[0]}{clip.cut.template.suffix}"
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as part:
        clip.cut.write(part)
        _sync(part)
        size = part.stat().st_size
    for parent in (path.parent, folder):  # their names are synced with the folders that have them
        _sync(parent)
    try:
        with transaction(connection):
            row = (path.name, clip.stream, clip.start, clip.end, size)
            found = connection.execute(
                'INSERT INTO clip (file, stream, start, "end", bytes) VALUES (?, ?, ?, ?, ?)', row
            ).lastrowid
            connection.executemany("UPDATE event SET clip = ? WHERE id = ?", [(found, event) for event in clip.events])
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def sweep(connection: sqlite3.Connection, folder: Path) -> None:
    """Remove the clips that no event has: of a process that died while it wrote one, or before it removed one. What
    else lies in their folder is somebody's, and stays."""
    with transaction(connection):
        connection.execute("DELETE FROM clip WHERE id NOT IN (SELECT clip FROM event WHERE clip IS NOT NULL)")
    known = {file for (file,) in connection.execute("SELECT file FROM clip")}
    with suppress(FileNotFoundError):
        for name in set(os.listdir(folder / CLIPS)) - known:
            if _OURS.fullmatch(name):
                (folder / CLIPS / name).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
