"""What a HEIF or AVIF photo is put together of: its items, read from the file's `meta` box (ISO/IEC 23008-12)."""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from vljepa_edge.errors import VideoError
from vljepa_edge.video.iso_boxes import Box, boxes

# Major brands of single pictures; those of image sequences are played as videos.
_STILLS = {b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avif", b"avio", b"miaf"}
_GRID_BYTES = 12  # of the longer form


@dataclass(frozen=True)
class Grid:
    """Tiles in reading order and the size of the picture that is cut from them."""

    rows: int
    columns: int
    width: int
    height: int


@dataclass
class Items:
    """The items of a photo: kinds, properties in order, parts and data, all by item number."""

    path: str
    primary: int = 0
    kinds: dict[int, str] = field(default_factory=dict)
    properties: dict[int, list[tuple[str, bytes]]] = field(default_factory=lambda: defaultdict(list))
    parts: dict[int, list[int]] = field(default_factory=dict)
    data: dict[int, bytes] = field(default_factory=dict)

    def grid(self, item: int) -> Grid:
        """The layout of a picture that is put together of tiles."""
        data = self.data.get(item, b"")
        if len(data) < 8:
            raise VideoError(self.path, "the layout of its tiles is missing or damaged")
        wide = data[1] & 1
        width, height = struct.unpack_from(">II" if wide else ">HH", data, 4)
        return Grid(data[2] + 1, data[3] + 1, width, height)


def read_items(path: str) -> Items | None:
    """The items of a HEIF or AVIF photo; None if the file is none. Raises VideoError if they are damaged."""
    with open(path, "rb") as file:
        head = file.read(12)
        if head[4:8] != b"ftyp" or head[8:12] not in _STILLS:
            return None
        meta = next((box for box in boxes(file, 0, Path(path).stat().st_size) if box.name == "meta"), None)
        if meta is None:
            return None
        file.seek(meta.start + 4)  # after version and flags
        content = file.read(meta.end - meta.start - 4)
        items = Items(path)
        try:
            tree = {box.name: box for box in boxes(BytesIO(content), 0, len(content))}
            _read_kinds(content, tree, items)
            _read_properties(content, tree, items)
            _read_data(content, tree, items, file)
        except (struct.error, KeyError, IndexError, ValueError) as error:
            raise VideoError(path, "the description of its picture is damaged") from error
    return items


def _inner(content: bytes, box: Box, skip: int = 0) -> list[Box]:
    return list(boxes(BytesIO(content), box.start + skip, min(box.end, len(content))))


def _read_kinds(content: bytes, tree: dict[str, Box], items: Items) -> None:
    """The primary item, the kind of each, and of which others each is derived."""
    start = tree["pitm"].start
    (items.primary,) = struct.unpack_from(">I" if content[start] else ">H", content, start + 4)
    start = tree["iinf"].start
    for entry in _inner(content, tree["iinf"], 6 if content[start] == 0 else 8):
        number, kind = struct.unpack_from(">H2x4s" if content[entry.start] < 3 else ">I2x4s", content, entry.start + 4)
        items.kinds[number] = kind.decode("latin-1")
    if "iref" not in tree:
        return
    number_format = "I" if content[tree["iref"].start] else "H"
    size = struct.calcsize(number_format)
    for box in _inner(content, tree["iref"], 4):
        derived, count = struct.unpack_from(f">{number_format}H", content, box.start)
        if box.name == "dimg":
            items.parts[derived] = list(struct.unpack_from(f">{count}{number_format}", content, box.start + size + 2))


def _read_properties(content: bytes, tree: dict[str, Box], items: Items) -> None:
    parts = _inner(content, tree["iprp"])
    (container,) = (box for box in parts if box.name == "ipco")
    known = [(box.name, content[box.start : box.end]) for box in _inner(content, container)]
    for box in parts:
        if box.name != "ipma":
            continue
        version, wide = content[box.start], content[box.start + 3] & 1
        (count,) = struct.unpack_from(">I", content, box.start + 4)
        at = box.start + 8
        for _ in range(count):
            number, associations = struct.unpack_from(">HB" if version == 0 else ">IB", content, at)
            at += 3 if version == 0 else 5
            for _ in range(associations):
                (index,) = struct.unpack_from(">H" if wide else ">B", content, at)
                at += 2 if wide else 1
                index &= 0x7FFF if wide else 0x7F  # without the flag of what a reader must know
                if index:
                    items.properties[number].append(known[index - 1])


def _read_data(content: bytes, tree: dict[str, Box], items: Items, file: BinaryIO) -> None:
    """The data of the items that describe grids: it lies somewhere in the file, or in the box `idat`."""
    start = tree["iloc"].start
    version, sizes = content[start], struct.unpack_from(">H", content, start + 4)[0]
    at = start + 6

    def take(size: int) -> int:
        nonlocal at
        at += size
        if at > len(content):
            raise IndexError
        return int.from_bytes(content[at - size : at], "big")

    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(take(4 if version == 2 else 2)):
        number = take(4 if version == 2 else 2)
        within = take(2) & 15 if version else 0
        take(2)
        base, parts = take(base_size), []
        for _ in range(take(2)):
            take(index_size if version else 0)
            parts.append((base + take(offset_size), take(length_size)))
        if items.kinds.get(number) != "grid":
            continue
        for offset, length in parts:
            if within == 0:
                file.seek(offset)
                found = file.read(min(length, _GRID_BYTES))
            else:
                offset += tree["idat"].start
                found = content[offset : offset + length]
            items.data[number] = items.data.get(number, b"") + found
