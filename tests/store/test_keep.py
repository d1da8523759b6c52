"""What a store forgets, and what it keeps however old it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.events import event, pair
from vljepa_edge.store.database import FILE, open_for_writing
from vljepa_edge.store.entry import Entry, write
from vljepa_edge.store.keep import Keep, forget
from vljepa_edge.store.reader import StoreReader

NOW = 1_796_000_000.0
HOUR = 3600.0


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_for_writing(tmp_path / FILE)) as made:
        made.execute("INSERT INTO model VALUES (1, 'digest', 'toy 1', 16)")
        yield made


def began(number: int, at: float, picture: bytes = b"jpeg") -> Entry:
    return Entry(number, number, "door", at, event("open", 1.0), picture)


def ended(number: int, begun: int | None, at: float) -> Entry:
    return Entry(number, begun, "door", at, event("closed", 1.0, 2.0))


def test_the_age_of_what_was_seen_is_that_of_its_end(connection: sqlite3.Connection, tmp_path: Path) -> None:
    old, recent = NOW - 2 * HOUR, NOW - HOUR / 2
    for entry in (
        *(began(1, old), ended(2, 1, old)),
        *(began(3, old), began(4, old), ended(5, 3, recent)),  # 4 goes on
        Entry(6, None, "door", old, event("stalled", 1.0)),
        ended(7, None, old),  # its beginning was lost
        *pair(8, 1.0, 2.0, at=recent),
    ):
        write(connection, entry, 1)
    reader = StoreReader(tmp_path)
    assert forget(connection, tmp_path, Keep(HOUR, None), NOW)
    assert [found["id"] for found in reader.events()] == [3, 4, 5, 8, 9]
    assert reader.picture(5) == reader.picture(4) == b"jpeg"
    write(connection, ended(10, 4, NOW), 1)
    assert forget(connection, tmp_path, Keep(HOUR, None), NOW + HOUR * 0.75)
    assert [(found["id"], found["picture"]) for found in reader.events()] == [
        (4, "/events/4.jpg"),
        (10, "/events/10.jpg"),
    ]
    assert forget(connection, tmp_path, Keep(HOUR, None), NOW + HOUR * 1.5)
    assert reader.events() == [] and reader.picture(4) is None


def test_what_goes_on_makes_way_last_where_there_is_too_much(connection: sqlite3.Connection, tmp_path: Path) -> None:
    size = Keep(None, 8_000_000)
    write(connection, began(1, NOW), 1)
    for number in range(2, 82, 2):
        for entry in pair(number, 1.0, 2.0, picture=bytes(300_000), at=NOW):
            write(connection, entry, 1)
    forget(connection, tmp_path, size, NOW)
    kept = [found["id"] for found in StoreReader(tmp_path).events()]
    assert kept == [1, *range(kept[1], 82)] and 34 <= kept[1] <= 48
    for number in range(82, 122):  # the end of none of them comes
        write(connection, began(number, NOW, bytes(300_000)), 1)
    forget(connection, tmp_path, size, NOW)
    left = [found["id"] for found in StoreReader(tmp_path).events()]
    assert left == list(range(left[0], 122)) and left[0] > 82 and (tmp_path / FILE).stat().st_size < 8_000_000
