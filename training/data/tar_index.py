"""Where the members of a tar stand: found by its headers, or in a file beside it, so that members are read in place."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vljepa_edge.errors import DataError
from vljepa_edge.support.atomic import replacing

SUFFIX = ".index.json"  # behind the archive's own name


class Member(NamedTuple):
    """A file in an archive: its bytes are `size` from `offset` on."""

    name: str
    offset: int
    size: int


def members_of(archive: Path) -> list[Member]:
    """The files in a tar, in order: from its index where that is of this tar, else from all its headers.

    Raises DataError for what is no tar, is compressed, or is cut off.
    """
    try:
        state = archive.stat()
        indexed = _read_index(archive, state)
        found = _scan(archive) if indexed is None else indexed
    except (OSError, tarfile.TarError) as error:
        raise DataError(
            archive, f"is not a tar that can be read in place; it must not be compressed ({error})"
        ) from error
    for member in found:
        if member.offset + member.size > state.st_size:
            raise DataError(archive, f"is cut off: {member.name} would end at byte {member.offset + member.size}")
    return found


def write_index(archive: Path) -> Path:
    """Writes the index of a tar beside it. Raises DataError, OSError."""
    index = archive.with_name(archive.name + SUFFIX)
    content = {**_state(archive.stat()), "members": _scan(archive)}
    with replacing(index) as part:
        part.write_text(json.dumps(content), encoding="utf-8")
    return index


def read_member(archive: Path, member: Member) -> bytes:
    """The bytes of a member. Raises OSError."""
    with open(archive, "rb") as file:
        file.seek(member.offset)
        return file.read(member.size)


class MemberFile(io.RawIOBase):
    """A member as a file that can seek. Each has a file of its own, so it works in any thread and process."""

    def __init__(self, archive: Path, offset: int, size: int) -> None:
        """Raises OSError."""
        self._file = open(archive, "rb", buffering=0)  # noqa: SIM115  # closed with this one
        self._offset, self._size, self._at = offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        room = max(0, min(len(view), self._size - self._at))
        self._file.seek(self._offset + self._at)
        count = self._file.readinto(view[:room]) or 0
        self._at += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _scan(archive: Path) -> list[Member]:
    with tarfile.open(archive, "r:") as tar:
        return [Member(entry.name, entry.offset_data, entry.size) for entry in tar if entry.isreg()]


def _state(of: os.stat_result) -> dict[str, int]:
    """What an index knows its tar by: tars are padded to 10 KiB, so many have the same size."""
    return {"bytes": of.st_size, "modified_ns": of.st_mtime_ns}


def _read_index(archive: Path, state: os.stat_result) -> list[Member] | None:
    """None where there is no index, or it is of another tar."""
    try:
        content = json.loads(archive.with_name(archive.name + SUFFIX).read_text(encoding="utf-8"))
        if any(content.get(name) != value for name, value in _state(state).items()):
            return None
        return list(_members(content["members"]))
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise DataError(archive.with_name(archive.name + SUFFIX), "is not the index of a tar; remove it") from None


def _members(rows: object) -> Iterator[Member]:
    for name, offset, size in rows:  # type: ignore[attr-defined]
        if not isinstance(name, str) or min(int(offset), int(size)) < 0:
            raise ValueError(name)
        yield Member(name, int(offset), int(size))
