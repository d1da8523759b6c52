"""The event store: what is written is read back, by our reader and by plain SQLite, and nothing else."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.serve.cameras import until
from tests.store.events import event, pair, taken, unit
from vljepa_edge.errors import InputError, StoreError
from vljepa_edge.model import Model
from vljepa_edge.store.database import check_file
from vljepa_edge.store.entry import Entry, write
from vljepa_edge.store.keep import Keep
from vljepa_edge.store.reader import StoreReader
from vljepa_edge.store.store import WAITING, EventStore

NOW = time.time()
DAY = 86400.0


@pytest.fixture
def store(model: Model, tmp_path: Path) -> Iterator[EventStore]:
    made = EventStore(tmp_path / "store", model)
    yield made
    made.close()


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    """What plain SQLite finds."""
    with closing(sqlite3.connect(folder / "events.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return connection.execute(query).fetchall()


def test_what_is_put_is_read_back_while_the_store_is_open(store: EventStore) -> None:
    opened, closed = pair(10, 1.5, 4.0)
    for entry in (opened, closed):
        store.put(entry)
    until(lambda: len(store.reader.events()) == 2)
    for found, entry in zip(store.reader.events(), (opened, closed), strict=True):
        names = {"id": entry.number, "begun": 10, "stream": "door", "at": round(entry.at, 3)}
        assert found == names | {"picture": f"/events/{entry.number}.jpg"} | entry.event.to_dict()
    assert list(found) == ["id", "begun", "stream", "at", "picture", *opened.event.to_dict()]
    assert store.reader.picture(10) == store.reader.picture(11) == b"jpeg"
    assert store.reader.picture(12) is None
    assert [found["id"] for found in store.reader.events(since=10)] == [11]
    assert [found["id"] for found in store.reader.events(before=11)] == [10]


def test_the_clock_on_the_wall_says_when_it_began_and_the_embedding_is_kept_in_half_precision(
    store: EventStore,
) -> None:
    store.put(Entry(1, 1, "door", NOW, event("open", 20.0, decided_at=21.0, latency_ms={"total": 500.0})))
    store.put(Entry(2, None, "door", NOW, event("stalled", 25.0, embedding=np.zeros(16, np.float32), text="")))
    store.close()
    (first, second) = rows(store.folder, "SELECT began_at, embedding FROM event ORDER BY id")
    assert first[0] == pytest.approx(NOW - 0.5 - 1.0, abs=1e-3)
    assert isinstance(first[1], bytes) and second[1] is None
    np.testing.assert_allclose(np.frombuffer(first[1], np.float16), unit(1, 2, 3), atol=1e-3)


def test_what_was_open_when_the_process_died_is_closed_at_the_last_time_known(model: Model, tmp_path: Path) -> None:
    def live(folder: Path) -> None:
        store = EventStore(folder, model)
        for entry in (*pair(1, 0.0, 2.0), *pair(3, 2.0, 9.0)[:1]):
            store.put(entry)
        store.put(Entry(4, 4, "yard", NOW, event("appeared", 3.0, text="cup")))
        until(lambda: len(store.reader.events()) == 4)
        store.saw("door", 7.5)
        store._next_seen = 0.0
        store.put(Entry(5, 5, "door", NOW, event("open", 5.0, query="What moves?")))
        until(lambda: rows(folder, "SELECT time FROM seen WHERE stream = 'door'") == [(7.5,)])
        os._exit(9)

    process = multiprocessing.get_context("fork").Process(target=live, args=(tmp_path,))
    process.start()
    process.join(30)
    assert process.exitcode == 9
    store = EventStore(tmp_path, model)
    found = store.reader.events(since=5)
    told = [(e["id"], e["begun"], e["stream"], e["status"], e["text"], e["start"], e["end"]) for e in found]
    assert told == [
        (6, 3, "door", "closed", "a ball rolls", 2.0, 7.5),
        (7, 4, "yard", "gone", "cup", 3.0, 4.0),
        (8, 5, "door", "closed", "a ball rolls", 5.0, 7.5),
    ]
    assert all(e["interrupted"] is True for e in found) and store.first_free == 9
    assert "interrupted" not in store.reader.events()[0]
    store.close()
    again = EventStore(tmp_path, model)
    assert len(again.reader.events()) == 8
    again.close()


_WRITER = """
import sys, threading
sys.path.insert(0, sys.argv[3])
from tests.store.events import pair
from vljepa_edge import load
from vljepa_edge.store.store import EventStore
store = EventStore(sys.argv[1], load(sys.argv[2], threads=1))
print("begun", flush=True)
for number in range(store.first_free, 10**9, 2):
    for entry in pair(number, float(number), number + 1.5, picture=b"%d" % number * 5000):
        store.put(entry)
    threading.Event().wait(0.001)
"""


def test_a_process_that_is_killed_leaves_no_half_event(toy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, folder, toy, Path(__file__).parents[2]], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    until(lambda: len(rows(folder, "SELECT id FROM event")) > 2)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    halves = "SELECT event.id FROM event LEFT JOIN picture ON event = id WHERE (begun = id) <> (jpeg IS NOT NULL)"
    assert rows(folder, halves) == []
    pictures = rows(folder, "SELECT event, jpeg FROM picture")
    assert pictures and all(jpeg == b"%d" % number * 5000 for number, jpeg in pictures)  # type: ignore[operator]


def test_a_store_is_of_one_process_at_a_time(store: EventStore, model: Model) -> None:
    with pytest.raises(StoreError, match="another process writes into it"):
        EventStore(store.folder, model)
    store.close()
    EventStore(store.folder, model).close()


def test_a_folder_that_can_not_be_locked_is_no_folder_in_use(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")  # as NFS does for a folder

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(StoreError, match="can't be locked"):
        EventStore(tmp_path, model)


@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
def test_a_store_that_is_taken_away_while_it_is_written_begins_again(
    how: str, model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "store"
    store = EventStore(folder, model)
    store.put(pair(1, 1.0, 2.0)[0])
    until(lambda: store.reader.events() and store._changed._waiters)  # its thread is done with the file, too
    if how == "removed":
        shutil.rmtree(folder)
    else:
        folder.rename(tmp_path / "old")
    if how == "replaced":  # as where a disk is mounted again
        other = EventStore(folder, model)
        other.put(pair(1, 1.0, 2.0)[0])
        other.close()
    for entry in (pair(1, 1.0, 2.0)[1], *pair(3, 3.0, 4.0)):
        store.put(entry)

    def is_there() -> bool:
        try:
            return bool(store.reader.events(since=3))
        except StoreError as error:  # it is being made
            assert "no event store" in str(error) or "nothing was stored in it yet" in str(error)
            return False

    until(is_there)
    with pytest.raises(StoreError, match="another process"):
        EventStore(folder, model)
    store.close()
    kept = [found["id"] for found in store.reader.events()]
    assert kept == ([1, 2, 3, 4] if how == "replaced" else [2, 3, 4]) and store.lost == 0
    assert [record.getMessage() for record in caplog.records if "begins again" in record.getMessage()]


def test_an_event_that_no_store_can_hold_is_counted_and_those_after_it_are_stored(store: EventStore) -> None:
    store.put(Entry(1, 1, "door", NOW, event("open", 1.0, text="caf\udce9")))
    store.put(pair(3, 3.0, 4.0)[0])
    until(lambda: [found["id"] for found in store.reader.events()] == [3])
    assert store.lost == 1 and store.state == "ok"


def _text(path: Path) -> None:
    path.write_text("these are notes of somebody, which nobody may write over " * 100)


def _other(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipe (name)")


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {0x564C4A45}")
        connection.execute("PRAGMA user_version = 2")


@pytest.mark.parametrize(
    ("make", "said"),
    [(_text, "is not an SQLite file"), (_other, "of something else"), (_newer, "has version 2, this release reads 1")],
)
def test_a_file_that_is_no_store_of_this_version_is_refused_and_left_alone(
    make: Callable[[Path], None], said: str, model: Model, tmp_path: Path
) -> None:
    make(tmp_path / "events.db")
    before = (tmp_path / "events.db").read_bytes()
    with pytest.raises(StoreError, match=said):
        EventStore(tmp_path, model)
    with pytest.raises(StoreError, match=said):
        StoreReader(tmp_path).events()
    assert (tmp_path / "events.db").read_bytes() == before


@pytest.mark.parametrize(("make", "said"), [(_text, "not an SQLite"), (_other, None), (_newer, "has version 2")])
def test_the_first_bytes_say_what_a_file_is_before_anything_is_loaded(
    make: Callable[[Path], None], said: str | None, tmp_path: Path
) -> None:
    check_file(tmp_path)
    make(tmp_path / "events.db")
    if said is None:
        check_file(tmp_path)  # another program's file without an id: its tables say so, later
        return
    with pytest.raises(StoreError, match=said):
        check_file(tmp_path)


def test_a_file_in_which_nothing_is_becomes_a_store(model: Model, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "events.db")) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")
    assert (tmp_path / "events.db").stat().st_size > 0
    check_file(tmp_path)
    with pytest.raises(StoreError, match="nothing was stored"):
        StoreReader(tmp_path).events()
    store = EventStore(tmp_path, model)
    store.put(pair(1, 1.0, 2.0)[0])
    until(lambda: store.reader.events())
    store.close()
    check_file(tmp_path)


def test_a_folder_that_can_not_be_one_is_refused(model: Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="can't be a store"):
        EventStore(tmp_path / "file", model)
    with pytest.raises(StoreError, match="no event store"):
        StoreReader(tmp_path).events()


def test_what_is_too_old_is_forgotten(model: Model, tmp_path: Path) -> None:
    with_old = EventStore(tmp_path, model, Keep(age=None))
    for number in range(1, 301, 2):
        for entry in pair(number, number, number + 1.0, picture=b"x" * 20_000, at=NOW - 8 * DAY):
            with_old.put(entry)
    for entry in (*pair(301, 1.0, 2.0, at=NOW - 6 * DAY), *pair(303, 1.0, 2.0, at=NOW - 2.0)):
        with_old.put(entry)
    until(lambda: len(with_old.reader.events()) == 304)
    with_old.close()
    full = taken(tmp_path)
    store = EventStore(tmp_path, model)
    until(lambda: len(store.reader.events()) == 4)
    store.close()
    assert [found["id"] for found in store.reader.events()] == [301, 302, 303, 304]
    assert rows(tmp_path, "SELECT event FROM picture") == [(301,), (303,)]
    assert full > 3_000_000 and taken(tmp_path) < 200_000  # the disk has it back


def test_the_oldest_make_way_where_it_grows_too_large(model: Model, tmp_path: Path) -> None:
    store = EventStore(tmp_path, model, Keep(size=8_000_000))
    largest = 0
    for number in range(1, 201, 2):
        for entry in pair(number, number, number + 1.0, picture=os.urandom(200_000)):
            store.put(entry)
        if number % 10 == 1:
            until(lambda last=number: store.reader.events(since=last))  # type: ignore[misc]
            largest = max(largest, taken(tmp_path))
    until(lambda: store.reader.events(since=199))
    store.close()
    kept = [found["id"] for found in store.reader.events(limit=10_000)]
    assert kept == list(range(kept[0], 201)) and 100 < kept[0] < 140
    assert largest < 12_000_000 and taken(tmp_path) <= 8_000_000
    assert sum(1 for found in store.reader.events(limit=10_000) if store.reader.picture(found["id"])) == len(kept)


def test_it_grows_no_larger_where_events_come_faster_than_they_are_written(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*given: Any) -> None:
        time.sleep(0.003)
        write(*given)

    monkeypatch.setattr("vljepa_edge.store.store.write", slowly)
    store = EventStore(tmp_path, model, Keep(size=8_000_000))
    largest = 0
    for number in range(1, 501, 2):
        for entry in pair(number, number, number + 1.0, picture=os.urandom(120_000)):
            store.put(entry)
        until(lambda: len(store._waiting) < WAITING // 4)
        largest = max(largest, taken(tmp_path))
    store.close()
    assert largest < 16_000_000 and taken(tmp_path) <= 8_000_000 and store.lost == 0
    assert [found["id"] for found in store.reader.events(limit=10_000)][-1] == 500


@pytest.mark.parametrize("given", [{"age": 0}, {"age": -1.0}, {"size": 1000}])
def test_what_is_kept_must_be_something(given: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(given))} must be"):
        Keep(**given)  # type: ignore[arg-type]


def test_a_full_disk_is_said_once_and_the_store_goes_on_when_there_is_room(
    store: EventStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vljepa_edge.store.store._RETRY", 0.02)
    store.put(pair(1, 1.0, 2.0)[0])
    until(lambda: store.reader.events())
    connection = store._file.open()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite then fails as it does on a full disk
    for number in range(3, 3 + 2 * (WAITING + 10)):
        store.put(Entry(number, number, "door", NOW, event("open", number), b"x" * 5000))
    until(lambda: store.state == "full")
    until(lambda: store.lost > 0)
    time.sleep(0.2)
    stored = {found["id"] for found in store.reader.events(limit=10_000)}
    connection.execute("PRAGMA max_page_count = 100000000")
    until(lambda: store.state == "ok")
    store.put(Entry(10_000, 10_000, "door", NOW, event("open", 1.0)))
    until(lambda: store.reader.events(since=9_999))
    found = [found["id"] for found in store.reader.events(limit=10_000)]
    assert found[-1] == 10_000 and found[-2] == 2 + 2 * (WAITING + 10) and 1 in stored
    assert len(found) + store.lost == 1 + 2 * (WAITING + 10) + 1
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2 and "is full" in said[0] and f"{store.lost} events were lost" in said[1]


def test_a_store_that_is_full_from_the_start_waits_for_room(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vljepa_edge.store import store as running
    from vljepa_edge.store import writer as module

    monkeypatch.setattr(running, "_RETRY", 0.02)
    full = True
    opened = module.open_for_writing

    def refuse(path: Path) -> sqlite3.Connection:
        if full:
            raise sqlite3.OperationalError("database or disk is full")
        return opened(path)

    monkeypatch.setattr(module, "open_for_writing", refuse)
    store = EventStore(tmp_path, model)
    store.put(pair(7, 1.0, 2.0)[0])
    assert store.state == "full" and store.first_free == 1
    full = False
    until(lambda: store.state == "ok")
    until(lambda: [found["id"] for found in store.reader.events()] == [7])
    store.close()


def test_latencies_and_odd_numbers_are_json(store: EventStore) -> None:
    odd = event("open", 1.0, change=float("nan"), latency_ms={"total": float("inf")}, confidence=None, text="a\0b ü")
    store.put(Entry(1, 1, "door", NOW, odd))
    until(lambda: store.reader.events())
    (found,) = store.reader.events()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["text"] == "a\0b ü" and found["change"] is None and found["latency_ms"] == {"total": None}
