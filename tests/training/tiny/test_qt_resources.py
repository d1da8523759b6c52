"""Qt resource files, written here by hand from the format's description."""

from __future__ import annotations

import contextlib
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vljepa_edge.errors import InputError
from vljepa_edge.support.assets import archive_path
from vljepa_edge.training.tiny import assets
from vljepa_edge.training.tiny.qt_resources import read_resources

TEXT = b"one line\n" * 50


def resource_file(version: int = 3, flags: int = 0) -> bytes:
    """/a.txt as it is, and /pictures/owl.webp packed with zlib (or marked with `flags`)."""
    packed = struct.pack(">I", len(TEXT)) + zlib.compress(TEXT)
    contents = b"".join(struct.pack(">I", len(part)) + part for part in (b"plain", packed))
    names, where = b"", {}
    for name in ("a.txt", "pictures", "owl.webp"):
        where[name] = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    change = struct.pack(">Q", 0) if version > 1 else b""
    nodes = [
        struct.pack(">IHII", 0, 2, 2, 1),
        struct.pack(">IHHHI", where["a.txt"], 0, 0, 1, 0),
        struct.pack(">IHII", where["pictures"], 2, 1, 3),
        struct.pack(">IHHHI", where["owl.webp"], flags or 1, 0, 1, 4 + len(b"plain")),
    ]
    tree = b"".join(node + change for node in nodes)
    start = 20
    head = struct.pack(">4s4I", b"qres", version, start + len(contents) + len(names), start, start + len(contents))
    return head + contents + names + tree


@pytest.mark.parametrize("version", [1, 2, 3])
def test_files_are_read_with_their_paths(tmp_path: Path, version: int) -> None:
    file = tmp_path / "some.rcc"
    file.write_bytes(resource_file(version))
    assert read_resources(file) == {"a.txt": b"plain", "pictures/owl.webp": TEXT}


def test_zstandard_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "some.rcc"
    file.write_bytes(resource_file(flags=4))
    with pytest.raises(InputError, match=r"some\.rcc.*owl\.webp is packed with Zstandard"):
        read_resources(file)


@pytest.mark.parametrize("data", [b"", b"qres", b"PK\x03\x04" + bytes(40), resource_file(version=9)])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "some.rcc"
    file.write_bytes(data)
    with pytest.raises(InputError, match=r"some\.rcc"):
        read_resources(file)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damage_never_ends_in_another_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = bytearray(resource_file())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.mktemp("damaged") / "some.rcc"
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(InputError):
        read_resources(file)


@pytest.mark.skipif(not archive_path(assets.GCOMPRIS).is_file(), reason="the package is not in the cache")
def test_gcompris_pictures_are_where_the_table_says() -> None:
    owl = assets.gcompris_activity("explore_farm_animals")["resource/animals/owl.webp"]
    assert owl[:4] == b"RIFF" and owl[8:12] == b"WEBP"
