"""Clips beside events: which events share one, and what is on disk."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.media import number_of, write_video
from tests.serve.cameras import until
from tests.store.events import event
from vljepa_edge.errors import InputError
from vljepa_edge.model import Model
from vljepa_edge.serve.hub import Hub
from vljepa_edge.store.clips import Clip
from vljepa_edge.store.entry import Entry
from vljepa_edge.store.keep import Keep
from vljepa_edge.store.reader import StoreReader
from vljepa_edge.store.recorder import Around, Recorder
from vljepa_edge.store.store import EventStore
from vljepa_edge.streaming.options import StreamOptions
from vljepa_edge.video.packets import Cut
from vljepa_edge.video.source import open_source

GROUPS = {"g": "10", "x264-params": "scenecut=0"}


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Twenty seconds, ten frames a second, a keyframe each."""
    return write_video(tmp_path / "v.mp4", 200, fps=10, options=GROUPS)


@pytest.fixture
def store(model: Model, tmp_path: Path) -> Iterator[EventStore]:
    made = EventStore(tmp_path / "store", model)
    yield made
    made.close()


class Kept(EventStore):
    """A store that only notes the clips that it is given."""

    def __init__(self) -> None:
        self.clips: list[Clip] = []

    def put_clip(self, clip: Clip) -> None:
        self.clips.append(clip)


def play(recorder: Recorder, video: Path, begins: dict[int, float], late: float = 0.5, shift: float = 0.0) -> None:
    """Read a video; an event of that number begins at that time and is told so much later."""
    waiting = dict(begins)
    with open_source(video, ring=recorder.ring) as frames:
        recorder.opened(shift)
        for frame in frames:
            for number, start in list(waiting.items()):
                if frame.time + shift >= start + late:
                    recorder.begins(number, start)
                    del waiting[number]
            recorder.look()
    recorder.finish()


@pytest.mark.parametrize(
    ("begins", "expected"),
    [
        ({1: 6.2}, [((1,), 4.0, 8.2)]),
        ({1: 6.2, 2: 7.5}, [((1, 2), 4.0, 9.5)]),  # the second begins while the first's clip goes on
        ({1: 3.2, 2: 10.2}, [((1,), 1.0, 5.2), ((2,), 8.0, 12.2)]),
        ({1: 0.1}, [((1,), 0.0, 2.1)]),
        ({1: 19.0}, [((1,), 17.0, 19.9)]),  # the source ends before the clip does
    ],
)
def test_which_events_share_a_clip_and_from_when_to_when_it_is(
    begins: dict[int, float], expected: list[tuple[tuple[int, ...], float, float]], video: Path
) -> None:
    kept = Kept()
    play(Recorder("door", kept.put_clip, Around(2.0, 2.0)), video, begins)
    assert [clip.events for clip in kept.clips] == [events for events, _, _ in expected]
    for clip, (_, start, end) in zip(kept.clips, expected, strict=True):
        assert (clip.start, clip.end) == (pytest.approx(start), pytest.approx(end, abs=0.35)) and clip.end > end - 0.15


def test_times_are_those_of_the_stream_where_they_are_later_than_those_of_the_source(video: Path) -> None:
    kept = Kept()
    play(Recorder("door", kept.put_clip, Around(2.0, 2.0)), video, {1: 106.2}, shift=100.0)
    (clip,) = kept.clips
    assert clip.start == pytest.approx(104.0) and clip.end == pytest.approx(108.2, abs=0.35)


def test_no_clip_is_longer_than_a_minute_or_so(tmp_path: Path) -> None:
    kept = Kept()
    video = write_video(tmp_path / "long.mp4", 200, fps=1, options={"g": "5", "x264-params": "scenecut=0"})
    play(Recorder("door", kept.put_clip, Around(2.0, 6.0)), video, {n: 10.0 + 4 * n for n in range(40)}, late=1.0)
    assert len(kept.clips) >= 3 and all(clip.end - clip.start < 68 for clip in kept.clips)
    assert [number for clip in kept.clips for number in clip.events] == list(range(40))


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "events.db")) as connection:
        return connection.execute(query).fetchall()


def test_a_served_video_has_clips_in_which_the_frame_of_an_event_is_at_its_time(
    model: Model, video: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    hub = Hub(
        model,
        None,
        StreamOptions(policy="uniform:period=1"),
        EventStore(folder, model),
        record=Around(before=1.0, after=1.0),
    )
    hub.add(str(video), "door")
    until(lambda: len(StoreReader(folder).events()) >= 6)
    hub.close()
    found = rows(folder, "SELECT event.start, clip.start, clip.file FROM event JOIN clip ON clip.id = event.clip")
    assert len(found) >= 3
    for event_start, clip_start, file in found:
        assert isinstance(event_start, float) and isinstance(clip_start, float)
        with open_source(folder / "clips" / str(file)) as frames:
            numbers = {round(frame.time + clip_start, 3): number_of(frame.image) for frame in frames}
        assert all(number == round(10 * at) for at, number in numbers.items())
        assert min(numbers) <= max(0.0, event_start - 1.0) + 0.051
    clips = {name for (name,) in rows(folder, "SELECT file FROM clip")}
    assert {file.name for file in (folder / "clips").iterdir()} == clips
    assert rows(folder, "SELECT count(*) FROM event WHERE begun <> id AND clip IS NOT NULL") == [(0,)]


def test_clips_of_a_stream_that_only_watches_are_written_while_it_runs(
    model: Model, video: Path, tmp_path: Path
) -> None:
    store = EventStore(tmp_path / "store", model)
    hub = Hub(model, store=store, record=Around(before=1.0, after=0.5))
    hub.add(str(video), "door", query=[], watch=["a ball"])
    recorder = hub.channel("door").recorder
    assert recorder is not None
    store.put(Entry(1, 1, "door", time.time(), event("appeared", 0.5)))
    until(lambda: recorder.ring.newest > 0.4)
    recorder.begins(1, 0.5)
    until(lambda: rows(store.folder, "SELECT count(*) FROM clip") == [(1,)])
    assert hub.channel("door").state == "running" and store._seen["door"][0] > 0.9
    hub.close()


def put(store: EventStore, video: Path, number: int, at: float) -> None:
    """An event with a clip of some 50 KB."""
    store.put(Entry(number, number, "door", at, event("open", 5.0), b"jpeg"))
    recorder = Recorder("door", store.put_clip, Around(2.0, 2.0))
    play(recorder, video, {number: 5.0})


def test_clips_are_forgotten_with_their_events_and_strays_are_swept(model: Model, video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store = EventStore(folder, model, Keep(age=None))
    week = time.time() - 8 * 86400
    put(store, video, 1, week)
    store.put(Entry(10, 1, "door", week, event("closed", 5.0, 6.0)))
    put(store, video, 12, time.time())
    until(lambda: rows(folder, "SELECT count(*) FROM clip") == [(2,)])
    store.close()
    for killed in (".part.9.mp4", ".0123abcd.9.mp4"):
        (folder / "clips" / killed).write_bytes(b"of a process that was killed")
    (folder / "clips" / "8.mkv").write_bytes(b"of one that was killed before it removed it")
    (folder / "clips" / "best of").mkdir()
    (folder / "clips" / "holiday.mp4").write_bytes(b"of the owner")
    again = EventStore(folder, model)
    until(lambda: rows(folder, "SELECT id FROM event WHERE begun = id") == [(12,)])
    until(lambda: sorted(file.name for file in (folder / "clips").iterdir()) == ["12.mp4", "best of", "holiday.mp4"])
    again.close()
    (size,) = rows(folder, "SELECT bytes FROM clip")[0]
    assert size == (folder / "clips" / "12.mp4").stat().st_size


def test_a_clip_is_on_the_disk_before_the_row_that_names_it(
    store: EventStore, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, int, bool, int]] = []
    clips, sync = store.folder / "clips", os.fsync

    def note(handle: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        (count,) = rows(store.folder, "SELECT count(*) FROM clip")[0]
        assert isinstance(count, int)
        name = path.suffix or path.name
        synced.append((name, path.stat().st_size if path.is_file() else 0, (clips / "1.mp4").exists(), count))
        sync(handle)

    monkeypatch.setattr(os, "fsync", note)
    put(store, video, 1, time.time())
    until(lambda: rows(store.folder, "SELECT count(*) FROM clip") == [(1,)])
    size = (clips / "1.mp4").stat().st_size
    assert synced == [(".mp4", size, False, 0), ("clips", 0, True, 0), ("store", 0, True, 0)]


def test_a_clip_that_finds_no_room_is_lost_and_its_event_is_not(
    store: EventStore, video: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(cut: Cut, path: Path) -> None:
        path.write_bytes(b"the first half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Cut, "write", full)
        for number in (1, 2):
            put(store, video, number, time.time())
        until(lambda: store.lost_clips == 2)
    put(store, video, 3, time.time())
    until(lambda: rows(store.folder, "SELECT file FROM clip") == [("3.mp4",)])
    assert [file.name for file in (store.folder / "clips").iterdir()] == ["3.mp4"]
    assert [e["id"] for e in store.reader.events()] == [1, 2, 3]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and "No space left" in said[0]


def test_a_clip_is_written_after_its_events_however_many_waited_for_room(
    store: EventStore, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vljepa_edge.store import store as module

    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(module, "_RETRY", 0.02)
    with monkeypatch.context() as patched:
        patched.setattr(module, "write", refuse)
        for number in range(1, 200):
            store.put(Entry(number, number, "door", time.time(), event("open", 5.0)))
        put(store, video, 200, time.time())
    until(lambda: rows(store.folder, "SELECT file FROM clip, event WHERE event.clip = clip.id") == [("200.mp4",)])


@pytest.mark.parametrize(("before", "after"), [(-1.0, 5.0), (5.0, 0.0), (40.0, 30.0), (float("nan"), 5.0)])
def test_a_clip_must_have_a_length(before: float, after: float) -> None:
    with pytest.raises(InputError, match="a clip must have"):
        Around(before, after)


def test_clips_need_a_store(model: Model) -> None:
    with pytest.raises(InputError, match="record must come with a store"):
        Hub(model, record=Around())
