"""Files inside a Qt resource file (.rcc): a tree of nodes with their names and contents, all numbers big-endian.

The layout is that of Qt's `rcc --binary`, versions 1 to 3 (qtbase, src/tools/rcc/rcc.cpp).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vljepa_edge.errors import InputError

_NODE_SIZES = {1: 14, 2: 22, 3: 22}  # from version 2 on a node ends with its time of change
_COMPRESSED, _FOLDER, _COMPRESSED_ZSTD = 1, 2, 4


def read_resources(file: Path) -> dict[str, bytes]:
    """Path within the file -> contents. Raises InputError naming the file when it isn't a complete .rcc, or is packed
    with Zstandard."""
    data = file.read_bytes()
    try:
        magic, version, tree, contents, names = struct.unpack_from(">4s4I", data)
        if magic != b"qres" or version not in _NODE_SIZES:
            raise ValueError(f"begins with {magic!r}, version {version}")
        return dict(_files(data, _NODE_SIZES[version], tree, contents, names))
    except (struct.error, zlib.error, ValueError, RecursionError) as error:
        raise InputError(f"{file}: can't be read as a Qt resource file: {error}") from error


def _files(data: bytes, node_size: int, tree: int, contents: int, names: int) -> Iterator[tuple[str, bytes]]:
    def below(number: int, folder: PurePosixPath) -> Iterator[tuple[str, bytes]]:
        at = tree + number * node_size
        name_at, flags, first, second = struct.unpack_from(">IHII", data, at)
        path = folder / _name(data, names + name_at) if number else folder
        if flags & _FOLDER:
            for child in range(second, second + first):
                yield from below(child, path)
        elif flags & _COMPRESSED_ZSTD:
            raise ValueError(f"{path} is packed with Zstandard")
        else:  # a language's territory and name stand where a folder has its children
            (offset,) = struct.unpack_from(">I", data, at + 10)
            packed = _sized(data, contents + offset)
            yield str(path), zlib.decompress(packed[4:]) if flags & _COMPRESSED else packed

    return below(0, PurePosixPath())


def _name(data: bytes, at: int) -> str:
    length, _hash = struct.unpack_from(">HI", data, at)
    return data[at + 6 : at + 6 + 2 * length].decode("utf-16-be")


def _sized(data: bytes, at: int) -> bytes:
    (length,) = struct.unpack_from(">I", data, at)
    if len(data) < at + 4 + length:
        raise ValueError("it ends before its contents do")
    return data[at + 4 : at + 4 + length]
