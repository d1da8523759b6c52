"""Writes small HEIC photos: coded by x265 through PyAV, the boxes around them by hand."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Properties = Sequence[bytes]


def box(name: str, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + name.encode() + body


def size(width: int, height: int) -> bytes:
    """Property: the size of an item."""
    return box("ispe", struct.pack(">III", 0, width, height))


def aperture(width: int, height: int, right: tuple[int, int], down: tuple[int, int]) -> bytes:
    """Property: the part that is shown; how far its centre is right of and below the picture's, as fractions."""
    return box("clap", struct.pack(">IIIIiIiI", width, 1, height, 1, *right, *down))


def turned(quarters: int) -> bytes:
    """Property: turned counter-clockwise."""
    return box("irot", bytes([quarters]))


def mirrored(left_right: bool) -> bytes:
    return box("imir", bytes([left_right]))


def colours(primaries: int, transfer: int, matrix: int, full: bool) -> bytes:
    return box("colr", b"nclx", struct.pack(">HHHB", primaries, transfer, matrix, full << 7))


def write_heic(
    path: Path,
    tiles: Sequence[NDArray[np.uint8]],
    properties: Properties = (),
    *,
    grid: tuple[int, int, int, int] | None = None,
    pix_fmt: str = "yuv444p",
) -> Path:
    """A photo of one item with these properties or, if `grid` is (rows, columns, width, height), of tiles."""
    coded = [_coded(path, tile, pix_fmt) for tile in tiles]
    height, width, _ = tiles[0].shape
    each = [size(width, height)] if grid else list(properties)
    kinds = ["hvc1"] * len(tiles)
    # Item number, its properties.
    owned = [(number, [config, *each]) for number, (config, _) in enumerate(coded, 1)]
    primary, description, relations = 1, b"", b""
    if grid is not None:
        rows, columns, wide, high = grid
        primary, description = len(tiles) + 1, struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, wide, high)
        owned.append((primary, list(properties) or [size(wide, high)]))
        kinds.append("grid")
        parts = struct.pack(f">HH{len(tiles)}H", primary, len(tiles), *range(1, primary))
        relations = box("iref", bytes(4), box("dimg", parts))
    entries = [box("infe", b"\2\0\0\0", struct.pack(">HH", n, 0), k.encode(), b"\0") for n, k in enumerate(kinds, 1)]
    container = [content for _, contents in owned for content in contents]
    associated, at = b"", 1
    for number, contents in owned:
        associated += struct.pack(">HB", number, len(contents)) + bytes(range(at, at + len(contents)))
        at += len(contents)
    ipma = box("ipma", bytes(4), struct.pack(">I", len(owned)), associated)

    def meta(start: int) -> bytes:
        places = b""
        for number, (_, data) in enumerate(coded, 1):
            places += struct.pack(">HHHHII", number, 0, 0, 1, start, len(data))
            start += len(data)
        if grid is not None:
            places += struct.pack(">HHHHII", primary, 1, 0, 1, 0, len(description))
        return box(
            "meta",
            bytes(4),
            box("hdlr", bytes(8), b"pict", bytes(13)),
            box("pitm", bytes(4), struct.pack(">H", primary)),
            box("iloc", b"\1\0\0\0\x44\0", struct.pack(">H", len(owned)), places),
            box("iinf", bytes(4), struct.pack(">H", len(kinds)), *entries),
            relations,
            box("iprp", box("ipco", *container), ipma),
            box("idat", description),
        )

    head = box("ftyp", b"heic", bytes(4), b"mif1heic")
    start = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(start) + box("mdat", *(data for _, data in coded)))
    return path


def _coded(path: Path, image: NDArray[np.uint8], pix_fmt: str) -> tuple[bytes, bytes]:
    """The decoder's configuration as a property, and the coded picture: taken out of an MP4."""
    video = path.with_suffix(".mp4")
    with av.open(str(video), "w") as container:
        stream = container.add_stream(
            "libx265", rate=1, options={"x265-params": "log-level=none:qp=4", "preset": "ultrafast"}
        )
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = pix_fmt
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode()]:
            packet.pts = packet.dts = 0  # x265 leaves them unset for a single frame, now and then
            container.mux(packet)
    data = video.read_bytes()
    start = data.index(b"hvcC") - 4
    with av.open(str(video)) as container:
        packet = next(container.demux(video=0))
        return data[start : start + int.from_bytes(data[start : start + 4], "big")], bytes(packet)
