"""A store on a disk that is full: a small one in memory, where this machine lets us mount one."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.media import write_video
from tests.serve.cameras import until
from tests.store.events import pair
from tests.store.test_recorder import GROUPS, rows
from vljepa_edge.model import Model
from vljepa_edge.store.clips import Clip
from vljepa_edge.store.keep import Keep
from vljepa_edge.store.room import HELD, RESERVE, hold, release
from vljepa_edge.store.store import EventStore
from vljepa_edge.video.packets import PacketRing
from vljepa_edge.video.source import open_source

ALL = Keep(None, None)
DISK = 12_000_000


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of 12 MB."""
    monkeypatch.setattr("vljepa_edge.store.store._RETRY", 0.02)
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def opened(disk: Path, model: Model) -> Iterator[Callable[..., EventStore]]:
    """Opens the store on that disk. It is closed before the disk goes."""
    made: list[EventStore] = []

    def open_store(keep: Keep = ALL) -> EventStore:
        made.append(EventStore(disk, model, keep))
        return made[-1]

    yield open_store
    for store in made:
        store.close()


def fill(disk: Path) -> Path:
    """Take what the disk has left; the file that takes it."""
    path = disk / "of somebody"
    with path.open("ab", buffering=0) as file:
        while room := os.statvfs(disk).f_bavail:
            file.write(bytes(room * 4096))
    return path


def numbers(store: EventStore) -> list[int]:
    return [found["id"] for found in store.reader.events(limit=10_000)]


def play(store: EventStore, first: int, last: int) -> None:
    """Things that begin and end, with pictures of 60 KB."""
    for number in range(first, last, 2):
        for entry in pair(number, number, number + 1.0, picture=os.urandom(60_000)):
            store.put(entry)
        if number % 100 == 1:
            until(lambda: len(store._waiting) < 64)


def test_the_oldest_make_way_for_the_newest(
    disk: Path, opened: Callable[..., EventStore], caplog: pytest.LogCaptureFixture
) -> None:
    store = opened()
    play(store, 1, 801)
    until(lambda: numbers(store)[-1] == 800)
    kept = numbers(store)
    assert kept == list(range(kept[0], 801)) and 80 < len(kept) < 260 and store.lost == 0
    assert all(store.reader.picture(number) for number in kept)
    assert (disk / RESERVE).stat().st_blocks * 512 >= HELD
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and "the oldest make way" in said[0] and store.state == "ok"


def test_a_file_that_may_not_grow_has_the_newest(model: Model, tmp_path: Path) -> None:
    """The same where nothing can be mounted: SQLite says that the disk is full at a size of ours."""
    store = EventStore(tmp_path, model, ALL)
    play(store, 1, 121)
    until(lambda: len(numbers(store)) == 120)
    connection = store._file.open()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    play(store, 121, 151)
    until(lambda: numbers(store)[-1] == 150)
    assert numbers(store) == list(range(numbers(store)[0], 151)) and store.lost == 0 and store.state == "ok"
    store.close()


def test_what_is_too_old_makes_way_first(disk: Path, opened: Callable[..., EventStore]) -> None:
    store = opened(Keep(3600.0, None))
    until(lambda: store._next_forget > 0)  # the next look at the age is a minute later
    for number in range(1, 121, 2):
        for entry in pair(number, 1.0, 2.0, picture=bytes(60_000), at=time.time() - 7200.0):
            store.put(entry)
    play(store, 121, 123)
    until(lambda: numbers(store) == list(range(1, 123)))
    fill(disk)
    play(store, 123, 183)
    until(lambda: numbers(store) == list(range(121, 183)))
    assert store.state == "ok"


def test_a_start_on_a_full_disk_makes_room(disk: Path, opened: Callable[..., EventStore]) -> None:
    store = opened()
    play(store, 1, 101)
    store.close()
    fill(disk)
    again = opened()
    assert again.state == "ok" and again.first_free == 101
    play(again, 101, 121)
    until(lambda: numbers(again)[-1] == 120)
    assert 1 not in numbers(again)


def test_a_store_from_whose_disk_all_was_taken_waits_and_goes_on(disk: Path, opened: Callable[..., EventStore]) -> None:
    store = opened()
    play(store, 1, 41)
    until(lambda: numbers(store) == list(range(1, 41)))
    (disk / RESERVE).unlink()
    other = fill(disk)
    play(store, 41, 101)
    until(lambda: store.state == "full")
    assert numbers(store)[:40] == list(range(1, 41))  # nothing makes way that nothing takes the place of
    other.unlink()
    until(lambda: store.state == "ok" and numbers(store) == list(range(1, 101)))
    assert store.lost == 0


def test_little_makes_way_for_another_program(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes at once what is freed would come to have the room of all that is stored."""
    asked: list[int] = []
    monkeypatch.setattr("vljepa_edge.store.store.make_room", lambda *given: asked.append(given[-1]) or 4_000_000)
    store = EventStore(tmp_path, model, ALL)
    try:
        connection = store._file.open()
        for _ in range(10):
            store._make_way(connection, 60_000)
        assert len(asked) == 3  # more than 8 MB, and nothing was written in its place
        for entry in pair(1, 1.0, 2.0, picture=bytes(5_000_000)):
            store.put(entry)
        until(lambda: numbers(store) == [1, 2])
        for _ in range(10):
            store._make_way(connection, 60_000)
        assert len(asked) == 4
        store._next_way = 0.0  # an hour later
        for _ in range(10):
            store._make_way(connection, 60_000)
        assert len(asked) == 7
    finally:
        store.close()


def test_nothing_makes_way_while_nothing_comes(
    disk: Path, opened: Callable[..., EventStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[Path] = []
    monkeypatch.setattr("vljepa_edge.store.store._SEEN", 0.02)
    monkeypatch.setattr("vljepa_edge.store.store.release", lambda folder: [released.append(folder), release(folder)])
    store = opened()
    play(store, 1, 41)
    until(lambda: numbers(store) == list(range(1, 41)))
    fill(disk)
    for number in range(3000):  # more than the log has room for
        store.saw(f"{number:01000}", 1.0)
    until(lambda: released and (disk / RESERVE).exists())
    store.close()
    assert numbers(store) == list(range(1, 41))


def test_clips_make_way_for_clips(disk: Path, opened: Callable[..., EventStore], tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", 40, fps=10, options=GROUPS)
    ring = PacketRing(60.0)
    with open_source(video, ring=ring) as frames:
        for _ in frames:
            pass
    cut = ring.cut(0.0, 4.0)
    assert cut is not None
    store = opened()
    for number in range(1, 21, 2):
        for entry in pair(number, 1.0, 2.0):
            store.put(entry)
        until(lambda: not store._clips)
        store.put_clip(Clip("door", cut, 0.0, (number,)))
    until(lambda: rows(disk, "SELECT count(*) FROM clip") == [(10,)])
    with (disk / "clips" / "1.mp4").open("ab") as grown:  # as if it were a large one
        grown.write(bytes(500_000))
    store._file.open().execute("UPDATE clip SET bytes = bytes + 500000 WHERE file = '1.mp4'")
    fill(disk)
    for entry in pair(21, 1.0, 2.0):
        store.put(entry)
    store.put_clip(Clip("door", cut, 0.0, (21,)))
    until(
        lambda: rows(disk, "SELECT file FROM event JOIN clip ON clip.id = clip AND event.id = 21") or store.lost_clips
    )
    assert store.lost_clips == 0
    assert (disk / "clips" / "21.mp4").is_file() and not (disk / "clips" / "1.mp4").exists()


def test_a_file_system_that_can_hold_nothing_back_is_not_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(code: int) -> None:
        def fallocate(*_: object) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "posix_fallocate", fallocate)

    refuse(errno.EOPNOTSUPP)
    assert hold(tmp_path) and not (tmp_path / RESERVE).exists()
    refuse(errno.EDQUOT)
    assert not hold(tmp_path) and not (tmp_path / RESERVE).exists()
