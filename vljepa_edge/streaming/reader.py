"""From a source to its events: what `model.stream(...)` returns."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from inspect import GEN_RUNNING, getgeneratorstate
from typing import TYPE_CHECKING

from vljepa_edge.errors import InputError
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.stats import Stats
from vljepa_edge.support.ending import Worker, require_process

if TYPE_CHECKING:
    from vljepa_edge.streaming.stream import Stream
    from vljepa_edge.video.source import Source

_LAST_WORDS = 2.0  # seconds that Ctrl-C waits for the open segments of a live source to be closed


class EventReader(Iterator[Event]):
    """Iterate over the events of a source. It owns the source and closes it when the loop ends or is left.

    A live source is read by a thread of its own, so that the loop's body may take its time: the camera is not kept
    waiting. When the source or a graph fails, or Ctrl-C comes, the frames before are finished and their segments
    closed; then that is raised.
    """

    def __init__(self, source: Source, open_stream: Callable[..., Stream]) -> None:
        """`open_stream` takes what a Stream is told of its source: `live` and `callback`."""
        self._pid = os.getpid()
        self.source = source
        self._wake = threading.Event()
        wake = self._wake.set
        self.stream = open_stream(live=source.live, callback=lambda _: wake())
        self._closing = threading.Event()
        self._running = threading.RLock()  # held while the generator runs
        if source.live:
            self._events = _read_live(self.stream, source, self._wake, self._closing)
        else:
            self._events = _read(self.stream, source, self._closing)

    def __next__(self) -> Event:
        require_process(self._pid, "this stream", "load a model and open a stream in each process")
        with self._running:
            if getgeneratorstate(self._events) == GEN_RUNNING:
                raise InputError("a listener of this stream asked it for its next event, which waits for the listener")
            return next(self._events)

    def stats(self) -> Stats:
        """The stream's counts and latencies; what the source itself has met is in `source.stats`."""
        return self.stream.stats()

    def close(self) -> None:
        """Stop reading: the loop ends. Any thread may call it.

        A loop that is waiting for an event closes the source itself, once the frame in work is done.
        """
        if os.getpid() != self._pid:
            return
        self._closing.set()
        self._wake.set()
        if self._running.acquire(blocking=False):
            try:
                if getgeneratorstate(self._events) != GEN_RUNNING:
                    self._events.close()
                    self.source.close()
                    self.stream.close()
            finally:
                self._running.release()

    def __enter__(self) -> EventReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _noting(failures: list[BaseException]) -> Iterator[None]:
    """The error or Ctrl-C that ends the work in it goes to `failures`, so that what came before is finished first."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        failures.append(error)


def _read(stream: Stream, source: Source, closing: threading.Event) -> Generator[Event, None, None]:
    failures: list[BaseException] = []
    with source, stream:
        with _noting(failures):
            for image, time in source:
                stream.push(image, time)
                yield from stream.poll()
                if closing.is_set():
                    return
        with _noting(failures):
            stream.flush()
        yield from stream.poll()
    if failures:
        raise failures[0]


def _read_live(
    stream: Stream, source: Source, wake: threading.Event, closing: threading.Event
) -> Generator[Event, None, None]:
    failures: list[BaseException] = []
    ended = threading.Event()

    def feed() -> None:
        try:
            with _noting(failures):
                for image, time in source:
                    stream.push(image, time)
            with _noting(failures):
                stream.flush()
        finally:
            ended.set()
            wake.set()

    thread = Worker(feed, name="vljepa-source", stop=closing.set)  # it ends with its source, a worker too
    with stream, source:
        thread.start()
        try:
            over = False
            while not over:
                try:
                    wake.wait()
                    wake.clear()
                    over = ended.is_set() or closing.is_set()
                except KeyboardInterrupt as error:
                    failures.append(error)
                    source.close()  # the feeder ends, and closes the open segments
                    ended.wait(_LAST_WORDS)
                    over = True
                yield from stream.poll()
        finally:
            source.close()
            stream.close()  # the feeder may wait for it, in flush()
            thread.join()
    if failures and not closing.is_set():
        raise failures[0]
