"""A disk that is full at will."""

from __future__ import annotations

import errno
import fcntl
import io
import os
from typing import Any


class SmallFile(io.FileIO):
    """A file on a disk with `room` bytes for it: as the kernel does, it takes what there is room for, then fails."""

    room = 1 << 40

    def write(self, data: Any, /) -> int:
        appends = fcntl.fcntl(self, fcntl.F_GETFL) & os.O_APPEND
        place = os.fstat(self.fileno()).st_size if appends else self.tell()
        taken = bytes(data)[: max(0, self.room - place)]
        if data and not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(taken)
