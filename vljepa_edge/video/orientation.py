"""Which way up a picture is shown: as EXIF of a photo says, or the display matrix of a video."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

import av
import numpy as np
from av.error import FFmpegError

_ORIENTATION = 0x0112
_EXIF = b"Exif\0\0"


class Turn(NamedTuple):
    """How to show a picture: swap rows and columns, then flip rows, then flip columns."""

    transposed: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def apply(
        self, image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """A view of `image` (height, width, channels), turned."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        return image[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


UPRIGHT = Turn()
_EXIF_TURNS = {
    1: UPRIGHT,
    2: Turn(flip_columns=True),
    3: Turn(flip_rows=True, flip_columns=True),
    4: Turn(flip_rows=True),
    5: Turn(transposed=True),
    6: Turn(transposed=True, flip_columns=True),
    7: Turn(transposed=True, flip_rows=True, flip_columns=True),
    8: Turn(transposed=True, flip_rows=True),
}


def exif_turn(photo: bytes) -> Turn | None:
    """What EXIF in a JPEG, PNG, WebP or TIFF says; None where it says nothing that can be read."""
    try:
        for exif in _exif(photo):
            return _EXIF_TURNS.get(_orientation(exif))
    except (struct.error, ValueError):  # damaged or cut off
        pass
    return None


def matrix_turn(frame: av.VideoFrame) -> Turn:
    """What the display matrix of a decoded frame says. Angles snap to quarter turns."""
    # The side data of a frame and the frame keep each other until the cycle collector runs: those of a small copy do.
    try:
        size = math.ceil(frame.width / 32), math.ceil(frame.height / 32)
        small = frame.reformat(*size, "gray8", interpolation="POINT", threads=1)  # its pixels are of no interest
    except FFmpegError:  # it can't be converted, and so not be shown
        return UPRIGHT
    try:
        stored = cast(Mapping[str, av.buffer.Buffer], small.side_data).get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18 does not know EXIF side data and refuses all of the frame's: no mirroring then
        quarter = round(frame.rotation / 90) % 4
        return Turn(quarter % 2 == 1, quarter in (1, 2), quarter in (2, 3))
    if stored is None:
        return UPRIGHT
    a, b, _, c, d = np.frombuffer(bytes(stored), np.int32)[:5].tolist()  # x' = a x + c y, y' = b x + d y
    if abs(a) >= abs(b):
        return Turn(False, d < 0, a < 0)
    return Turn(True, b < 0, c < 0)


def _exif(photo: bytes) -> Iterator[bytes]:
    """The TIFF structures that hold EXIF."""
    if photo.startswith(b"\xff\xd8"):
        for marker, data in _jpeg_segments(photo):
            if marker == 0xE1 and data.startswith(_EXIF):
                yield data[len(_EXIF) :]
    elif photo.startswith(b"\x89PNG"):
        for kind, data in _chunks(photo, 8, ">I4s", trailer=4):
            if kind == b"eXIf":
                yield data
    elif photo.startswith(b"RIFF"):
        for kind, data in _chunks(photo, 12, "<4sI", trailer=0):
            if kind == b"EXIF":
                yield data.removeprefix(_EXIF)
    elif photo[:4] in (b"II*\0", b"MM\0*"):
        yield photo


def _jpeg_segments(photo: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers and what they hold, up to the picture."""
    at = 2
    while at + 4 <= len(photo) and photo[at] == 0xFF:
        marker, size = struct.unpack_from(">xBH", photo, at)
        if marker == 0xFF:  # a byte that fills
            at += 1
        elif marker == 0xDA:
            return
        else:
            yield marker, photo[at + 4 : at + 2 + size]
            at += 2 + size


def _chunks(photo: bytes, at: int, header: str, trailer: int) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the chunks of PNG (size first, a checksum behind) and RIFF (name first, even sizes)."""
    while at + 8 <= len(photo):
        first, second = struct.unpack_from(header, photo, at)
        name, size = (first, second) if isinstance(first, bytes) else (second, first)
        yield name, photo[at + 8 : at + 8 + size]
        at += 8 + size + (trailer or size % 2)


def _orientation(tiff: bytes) -> int:
    """The orientation in the first directory of a TIFF structure; 0 if it has none."""
    order = "<" if tiff.startswith(b"II") else ">"
    (start,) = struct.unpack_from(order + "4xI", tiff)
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, _ = struct.unpack_from(order + "HHI", tiff, entry)
        if tag == _ORIENTATION:
            (value,) = struct.unpack_from(order + ("I" if kind == 4 else "H"), tiff, entry + 8)
            return int(value)
    return 0
