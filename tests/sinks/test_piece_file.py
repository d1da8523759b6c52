"""Files that grow by complete pieces: whatever a disk has room for, what is there is what was taken, and its end."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sinks.small_disk import SmallFile
from vljepa_edge.sinks.piece_file import Piece, PieceFile

texts = st.binary(max_size=12)
pieces = st.lists(st.tuples(st.integers(0, 60), st.builds(Piece, texts, texts)), max_size=12)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces)
def test_a_file_is_complete_after_each_piece_whether_there_was_room_for_it_or_not(
    tmp_path: Path, given: list[tuple[int, Piece]]
) -> None:
    path = tmp_path / "file"
    raw = SmallFile(str(path), "wb")
    file = PieceFile(raw)
    data = end = b""
    for room, piece in given:
        raw.room = max(room, len(data + end))  # a disk does not take back what it holds
        try:
            file.write(piece)
        except OSError:
            assert len(data + piece.data + piece.end) > raw.room
        else:
            data, end = data + piece.data, piece.end
        assert path.read_bytes() == data + end
    file.close()
    assert path.read_bytes() == data + end and raw.closed


def test_what_others_wrote_to_a_shared_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"theirs\n")
    with SmallFile(os.open(path, os.O_WRONLY | os.O_APPEND), "wb") as raw:
        for room in (7, 9):
            raw.room = room
            with pytest.raises(OSError, match="No space left"):
                PieceFile(raw, shared=True).write(Piece(b"mine\n"))
            assert path.read_bytes() == b"theirs\n"
        raw.room = 100
        file = PieceFile(raw, shared=True)
        file.write(Piece(b"mine\n"))
        file.close()
        assert path.read_bytes() == b"theirs\nmine\n" and not raw.closed


def test_a_pipe_that_does_not_wait_gets_all_and_the_end_when_it_is_closed() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    read: list[bytes] = []

    def drain() -> None:
        while data := os.read(reading, 1 << 16):
            read.append(data)
        os.close(reading)

    thread = threading.Thread(target=drain)
    thread.start()
    file = PieceFile(io.FileIO(writing, "wb"))
    data = bytes(range(256)) * 2000  # more than a pipe holds
    file.write(Piece(data, b"end 1"))
    file.write(Piece(b"more", b"end 2"))
    file.close()
    thread.join(20)
    assert b"".join(read) == data + b"more" + b"end 2"
