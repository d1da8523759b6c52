"""A file that grows by complete pieces: a full disk, or a kill, leaves it as it was after one of them."""

from __future__ import annotations

import os
import select
import stat
from contextlib import suppress
from io import RawIOBase
from typing import NamedTuple


class Piece(NamedTuple):
    """What a file grows by. `end` makes the file complete behind it, and makes way for the next piece."""

    data: bytes
    end: bytes = b""


class PieceFile:
    """Writes pieces. In a pipe or a device nothing can make way: an end is written when it is closed."""

    def __init__(self, file: RawIOBase, *, shared: bool = False) -> None:
        """file: unbuffered, at the place where the first piece goes. shared: it is somebody else's, and stays open."""
        self._file, self._shared = file, shared
        self._regular = _is_regular(file)
        self._end = b""
        self._place = 0  # where the end begins

    def write(self, piece: Piece) -> None:
        """Raises OSError where there is no room for a piece; nothing of it is in the file then."""
        if self._regular and self._end:
            self._file.seek(self._place)
        data = piece.data + piece.end if self._regular else piece.data
        done = 0
        try:
            while done < len(data):
                done += self._some(data[done:])
            if self._regular and done < len(self._end):
                self._file.truncate()
        except BaseException:
            if self._regular and done:
                self._undo(done)
            raise
        self._place += len(piece.data)
        self._end = piece.end

    def close(self) -> None:
        """Raises OSError where the end of a pipe or device can't be written."""
        try:
            if not self._regular:
                self.write(Piece(self._end))
        finally:
            if not self._shared:
                self._file.close()

    def _some(self, data: bytes) -> int:
        written = self._file.write(data)
        if written is None:  # a pipe that somebody has told not to wait
            select.select([], [self._file], [])
        return written or 0

    def _undo(self, done: int) -> None:
        with suppress(OSError):
            self._file.seek(-done, os.SEEK_CUR)
            self._file.truncate()
            left = self._end
            while left:
                left = left[self._some(left) :]


def _is_regular(file: RawIOBase) -> bool:
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except OSError:  # of a stand-in that has no number
        return False
