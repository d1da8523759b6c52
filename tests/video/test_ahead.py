"""Reading ahead: files are read by a thread that is a few frames ahead, drops nothing, and ends in time."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.media import cut, flat, number_of, write_png, write_video
from tests.video.threads import video_threads
from vljepa_edge.errors import VideoError
from vljepa_edge.video import Frame, ahead, open_source
from vljepa_edge.video.ahead import DEPTH, AheadReader


class Film:
    """Numbered frames; knows how many were read, and whether it was ended and given back."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.read, self.ended, self.released = 0, False, 0
        self._count, self._error = count, error

    def frames(self) -> Generator[Frame, None, None]:
        try:
            for number in range(self._count):
                self.read += 1
                yield Frame(flat(number), number / 10)
            if self._error is not None:
                raise self._error
        finally:
            self.ended = True

    def release(self) -> None:
        assert self.ended or self.read == 0, "given back while it was read"
        self.released += 1

    def reader(self) -> AheadReader:
        return AheadReader(self.frames(), "film", self.release)

    def wait_for(self, count: int) -> None:
        until = time.monotonic() + 5
        while self.read < count and time.monotonic() < until:
            time.sleep(0.002)


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


def test_an_error_comes_after_the_frames_before_it_and_again() -> None:
    film = Film(5, ValueError("torn"))
    reader = film.reader()
    assert len([next(reader) for _ in range(5)]) == 5
    for _ in range(2):
        with pytest.raises(ValueError, match="torn"):
            next(reader)
    reader.stop()
    assert film.released == 1


def test_stopping_in_the_middle_gives_the_file_back() -> None:
    film = Film(1000)
    reader = film.reader()
    next(reader)
    reader.stop()
    assert (film.ended, film.released) == (True, 1)
    assert list(reader) == []


def test_one_that_is_never_asked_has_no_thread_and_gives_the_file_back() -> None:
    film = Film(10)
    reader = film.reader()
    assert video_threads() == []
    reader.stop()
    assert (film.read, film.released) == (0, 1)
    assert list(reader) == []
    assert video_threads() == []


def test_a_read_that_hangs_is_not_waited_for_and_its_file_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_PATIENCE", 0.05)
    answers, released = threading.Event(), threading.Event()

    def frames() -> Generator[Frame, None, None]:
        yield Frame(flat(0), 0.0)
        answers.wait()

    reader = AheadReader(frames(), "film", released.set)
    next(reader)
    begun = time.monotonic()
    reader.stop()
    assert time.monotonic() - begun < 2
    assert not released.is_set()
    answers.set()
    for thread in video_threads():
        thread.join()


def test_stopped_from_another_thread_while_one_waits() -> None:
    answers = threading.Event()

    def frames() -> Generator[Frame, None, None]:
        answers.wait()
        yield Frame(flat(0), 0.0)

    reader = AheadReader(frames(), "film", lambda: None)
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
            until = time.monotonic() + 5
            while source.stats.frames_decoded < 1 + DEPTH and time.monotonic() < until:
                time.sleep(0.002)
            assert source.stats.frames_decoded >= 1 + DEPTH
            assert source.stats.frames_yielded == 1

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
