"""The boxes that MP4, MOV, HEIF and AVIF files are made of (ISO/IEC 14496-12)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_MEDIA = {b"ftyp", b"styp", b"mdat", b"moov", b"wide", b"free", b"skip", b"moof", b"pnot"}


class Box(NamedTuple):
    """A box: its name, and where in the file its content starts and would end."""

    name: str
    start: int
    end: int


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes between two places of a file; the last of a file that was cut off ends behind `end`."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        size, name, first = int.from_bytes(head[:4], "big"), head[4:8], start + 8
        if size == 1:  # the size is in 64 bits
            size, first = int.from_bytes(head[8:16], "big"), start + 16
        if size == 0:  # up to the end
            size = end - start
        if size < first - start:
            return
        yield Box(name.decode("latin-1"), first, start + size)
        start += size


def is_unfinished(path: str) -> bool:
    """Whether a file begins as MP4 or MOV and the index of its frames is missing, or lacks its end."""
    size = Path(path).stat().st_size
    with open(path, "rb") as file:
        if file.read(8)[4:] not in _MEDIA:
            return False
        found: dict[str, int] = {}
        for box in boxes(file, 0, size):
            found[box.name] = box.end
            if box.name == "moov":  # thousands of fragments may follow
                break
    index = found.get("moov", found.get("moof", found.get("meta")))
    return index is None or index > size
