"""From a source to its events: what `model.stream(...)` returns."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from inspect import GEN_RUNNING, getgeneratorstate
from time import monotonic
from typing import TYPE_CHECKING

from vljepa_edge.errors import InputError
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.stats import Stats
from vljepa_edge.support.ending import Worker, require_process

if TYPE_CHECKING:
    from vljepa_edge.streaming.stream import Stream
    from vljepa_edge.video.source import Source

_LAST_WORDS = 2.0  # seconds that Ctrl-C or finish() waits for the open segments of a live source to be closed
_CHECK = 0.2  # seconds; waits are bounded, so that finish() and Ctrl-C are heard on every platform


class _Wish:
    """How the loop is to end. Plain attributes: a signal handler may interrupt any line, also one that holds a lock."""

    close = False  # at once
    finish = False  # after the frames so far


class EventReader(Iterator[Event]):
    """Iterate over the events of a source. It owns the source and closes it when the loop ends or is left.

    A live source is read by a thread of its own, so that the loop's body may take its time: the camera is not kept
    waiting. When the source or a graph fails, or Ctrl-C comes, the frames before are finished and their segments
    closed; then that is raised.
    """

    def __init__(self, source: Source, open_stream: Callable[..., Stream]) -> None:
        """`open_stream` takes what the reader tells a Stream: `live` and `wake`."""
        self._pid = os.getpid()
        self.source = source
        self._wake = threading.Event()
        self.stream = open_stream(live=source.live, wake=self._wake.set)
        self._wish = _Wish()
        self._running = threading.RLock()  # held while the generator runs
        if source.live:
            self._events = _read_live(self.stream, source, self._wake, self._wish)
        else:
            self._events = _read(self.stream, source, self._wish)

    def __next__(self) -> Event:
        require_process(self._pid, "this stream", "load a model and open a stream in each process")
        with self._running:
            if getgeneratorstate(self._events) == GEN_RUNNING:
                raise InputError("a listener of this stream asked it for its next event, which waits for the listener")
            return next(self._events)

    def stats(self) -> Stats:
        """The stream's counts and latencies; what the source itself has met is in `source.stats`."""
        return self.stream.stats()

    def finish(self) -> None:
        """End the loop as the end of the source does: the frames so far are finished and open segments closed; the loop
        gives those events, then it ends.

        Returns at once. Any thread may call it, and so may a signal handler:
        `signal.signal(signal.SIGTERM, lambda *_: events.finish())`. A file is left at its next frame; a live source
        is given two seconds.
        """
        self._wish.finish = True

    def close(self, *, wait: bool = True) -> None:
        """Stop reading: the loop ends. Any thread may call it.

        A loop that is waiting for an event closes the source itself, once the frame in work is done. Without `wait` the
        loop is only asked to end, for who must not wait for a source that closes; the loop's own thread then calls
        close().
        """
        if os.getpid() != self._pid:
            return
        self._wish.close = True
        self._wake.set()
        if wait and self._running.acquire(blocking=False):
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


def _read(stream: Stream, source: Source, wish: _Wish) -> Generator[Event, None, None]:
    failures: list[BaseException] = []
    with source, stream:
        with _noting(failures):
            for image, time in source:
                stream.push(image, time)
                yield from stream.poll()
                if wish.close:
                    return
                if wish.finish:
                    break
        with _noting(failures):
            stream.flush()
        yield from stream.poll()
    if failures:
        raise failures[0]


def _read_live(stream: Stream, source: Source, wake: threading.Event, wish: _Wish) -> Generator[Event, None, None]:
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

    thread = Worker(feed, name="vljepa-source", stop=wake.set)  # it ends with its source, a worker too
    with stream, source:
        thread.start()
        try:
            over, last = False, math.inf
            while not over:
                try:
                    wake.wait(_CHECK)
                    wake.clear()
                    over = ended.is_set() or wish.close or monotonic() > last
                    if wish.finish and last == math.inf:
                        last = monotonic() + _LAST_WORDS
                        source.close(wait=False)  # the feeder ends, and closes the open segments
                except KeyboardInterrupt as error:
                    failures.append(error)
                    over, wish.finish = wish.finish, True
                yield from stream.poll()
        finally:
            if wish.finish:
                source.close(wait=False)  # nobody who ends a program waits for a camera that hangs
            else:
                source.close()
            stream.close()  # the feeder may wait for it, in flush()
            thread.join()
    if failures and not wish.close:
        raise failures[0]
