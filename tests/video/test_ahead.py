"""Reading ahead: files are read by a thread that is a few frames ahead, drops nothing, and ends in time."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.media import cut, flat, number_of, write_png, write_video
from tests.video.threads import video_threads
from vljepa_edge.errors import VideoError
from vljepa_edge.video import Frame, ahead, open_source
from vljepa_edge.video.ahead import DEPTH, AheadReader

pytestmark = pytest.mark.alone


def wait_until(reached: Callable[[], bool]) -> None:
    """Five seconds at most: what follows says what is missing."""
    until = time.monotonic() + 5
    while not reached() and time.monotonic() < until:
        time.sleep(0.002)


class Film:
    """Numbered frames; knows how many were read, and whether it was given back, by whom, and read after that."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.read = 0
        self.released: list[str] = []
        self.stopped = threading.Event()
        self._count, self._error = count, error

    def frames(self) -> Iterator[Frame]:
        for number in range(self._count):
            assert not self.released, "read after it was given back"
            self.read += 1
            yield Frame(flat(number), number / 10)
        if self._error is not None:
            raise self._error

    def release(self) -> None:
        self.released.append(threading.current_thread().name)

    def reader(self) -> AheadReader:
        return AheadReader(self.frames(), "film", self.release, self.stopped)

    def wait_for(self, count: int) -> None:
        wait_until(lambda: self.read >= count)


def test_all_frames_come_in_order() -> None:
    film = Film(50)
    reader = film.reader()
    assert [number_of(image) for image, _ in reader] == list(range(50))
    assert list(reader) == []
    reader.stop()


def test_reads_on_while_nobody_asks_but_only_so_far() -> None:
    film = Film(50)
    reader = film.reader()
    for taken in range(1, 6):
        next(reader)
        film.wait_for(taken + DEPTH)
        time.sleep(0.02)
        assert film.read == taken + DEPTH
    reader.stop()


def test_an_error_comes_once_and_after_the_frames_before_it() -> None:
    film = Film(5, ValueError("torn"))
    reader = film.reader()
    assert len([next(reader) for _ in range(5)]) == 5
    with pytest.raises(ValueError, match="torn"):
        next(reader)
    assert list(reader) == []
    reader.stop()


def test_what_failed_is_kept_by_nobody() -> None:
    def torn() -> Iterator[Frame]:
        yield Frame(flat(0), 0.0)
        raise ValueError("torn")

    def read_and_fail() -> weakref.ref[AheadReader]:
        reader = AheadReader(torn(), "film", lambda: None, threading.Event())
        next(reader)
        with contextlib.suppress(ValueError):
            next(reader)
        reader.stop()
        reader._thread.join()
        return weakref.ref(reader)

    gc.disable()
    try:
        assert read_and_fail()() is None, "it is part of a cycle"
    finally:
        gc.enable()


def test_the_thread_that_reads_gives_the_file_back() -> None:
    film = Film(1000)
    reader = film.reader()
    next(reader)
    film.wait_for(1 + DEPTH)
    reader.stop()
    assert film.released == ["video film"]
    assert film.read == 1 + DEPTH
    assert list(reader) == []


def test_stopping_twice_gives_nothing_back_twice_and_waits_again() -> None:
    film = Film(1000)
    reader = film.reader()
    next(reader)
    stops = [threading.Thread(target=reader.stop) for _ in range(4)]
    for stop in stops:
        stop.start()
    for stop in stops:
        stop.join()
        assert film.released == ["video film"]


def test_one_that_is_never_asked_has_no_thread_and_gives_the_file_back() -> None:
    film = Film(10)
    reader = film.reader()
    assert video_threads() == []
    reader.stop()
    assert (film.read, len(film.released)) == (0, 1)
    assert list(reader) == []
    assert video_threads() == []


def test_a_read_that_hangs_is_not_waited_for_and_its_file_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_PATIENCE", 0.05)
    answers, released = threading.Event(), threading.Event()

    def frames() -> Iterator[Frame]:
        yield Frame(flat(0), 0.0)
        answers.wait()

    reader = AheadReader(frames(), "film", released.set, threading.Event())
    next(reader)
    begun = time.monotonic()
    reader.stop()
    assert time.monotonic() - begun < 2
    assert not released.is_set()
    answers.set()
    assert released.wait(5)
    for thread in video_threads():
        thread.join()


def test_an_interrupt_while_the_thread_starts_takes_nothing_from_under_it(monkeypatch: pytest.MonkeyPatch) -> None:
    late = threading.Event()
    bootstrap = threading.Thread._bootstrap_inner  # type: ignore[attr-defined]

    def begins_late(thread: threading.Thread) -> None:
        late.wait(5)
        bootstrap(thread)

    def interrupted(event: threading.Event, timeout: float | None = None) -> bool:
        raise KeyboardInterrupt

    film = Film(10)
    reader = film.reader()
    monkeypatch.setattr(threading.Thread, "_bootstrap_inner", begins_late)
    monkeypatch.setattr(reader._thread._started, "wait", interrupted.__get__(reader._thread._started))  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        next(reader)
    monkeypatch.undo()
    reader.stop()
    assert film.released == []
    late.set()
    wait_until(lambda: bool(film.released))
    assert (film.read, film.released) == (0, ["video film"])
    reader._thread.join(5)


def test_no_thread_to_be_had_is_an_error_and_gives_the_file_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    film = Film(10)
    reader = film.reader()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start"):
        next(reader)
    reader.stop()
    assert len(film.released) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_the_child_of_a_fork_is_told_and_does_not_wait_for_ever() -> None:
    film = Film(10)
    reader = film.reader()
    next(reader)
    film.wait_for(1 + DEPTH)
    child = os.fork()
    if child == 0:
        try:
            for _ in range(20):
                next(reader)
        except VideoError as error:
            os._exit(0 if "reader is gone" in str(error) else 2)
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    reader.stop()


def test_stopped_from_another_thread_while_one_waits() -> None:
    answers = threading.Event()

    def frames() -> Iterator[Frame]:
        answers.wait()
        yield Frame(flat(0), 0.0)

    reader = AheadReader(frames(), "film", lambda: None, threading.Event())
    got: list[Frame] = []
    waiting = threading.Thread(target=lambda: got.extend(reader))
    waiting.start()
    threading.Timer(0.2, answers.set).start()
    time.sleep(0.05)
    reader.stop()
    waiting.join(5)
    assert not waiting.is_alive()
    assert got == []


class TestFiles:
    def test_a_file_is_decoded_while_the_caller_is_busy(self, tmp_path: Path) -> None:
        with open_source(write_video(tmp_path / "v.mp4", 40)) as source:
            next(source)
            wait_until(lambda: source.stats.frames_decoded >= 1 + DEPTH)
            assert source.stats.frames_decoded >= 1 + DEPTH
            assert source.stats.frames_yielded == 1

    def test_closing_does_not_wait_for_the_next_frame_that_is_due(self, tmp_path: Path) -> None:
        source = open_source(write_video(tmp_path / "v.mp4", 3000, fps=100), fps=0.01)
        next(source)
        source.close()
        assert source.stats.frames_decoded < 2000

    def test_closed_in_the_middle(self, tmp_path: Path) -> None:
        for _ in range(20):
            source = open_source(write_video(tmp_path / "v.mp4", 40), fps=5.0)
            next(source)
            source.close()
            assert video_threads() == []
            assert list(source) == []

    def test_one_that_nobody_holds(self, tmp_path: Path) -> None:
        source = open_source(write_video(tmp_path / "v.mp4", 40))
        next(source)
        assert len(video_threads()) == 1
        del source
        gc.collect()
        assert video_threads() == []

    def test_one_that_failed_is_over(self, tmp_path: Path) -> None:
        source = open_source(cut(write_png(tmp_path / "cut.png", 300, 200), 0.3))
        with pytest.raises(VideoError, match="no frame in it"):
            list(source)
        assert list(source) == []

    def test_an_iterable_is_read_in_the_thread_that_iterates_and_no_further_than_asked(self) -> None:
        film = Film(10)
        with open_source(film.frames()) as source:
            next(source)
            time.sleep(0.02)
            assert film.read == 1
            assert video_threads() == []
