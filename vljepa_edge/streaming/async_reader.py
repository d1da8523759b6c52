"""From a source to its events in asyncio: what `model.astream(...)` returns."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from queue import SimpleQueue
from typing import NamedTuple

from vljepa_edge.errors import InputError
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.reader import EventReader
from vljepa_edge.streaming.stats import Stats
from vljepa_edge.streaming.stream import Stream
from vljepa_edge.support.ending import Worker, require_process, when_dropped
from vljepa_edge.video.source import Source

AHEAD = 32  # events that may wait for the loop; then the worker waits for it
_PATIENCE = 5.0  # seconds that aclose() waits for a worker; one that hangs in a caller's iterable may never end


class _End(NamedTuple):
    """There are no more events; `failure` is what ended them early."""

    failure: BaseException | None = None


class AsyncEventReader(AsyncIterator[Event]):
    """Iterate over the events of a source in asyncio. A worker thread opens the source, reads it and runs the model.

    Nothing here blocks the loop. When the loop is slower than the source, 32 events wait for it; then a file is read no
    further, and a live stream goes on and keeps its latest 256 (see Stats.unpolled). Exceptions are those of
    Model.stream, raised where the next event is asked for.

    The worker ends and closes the source at the end of the source, at aclose(), at the end of an `async with`, when a
    task that waits for an event is cancelled, and when nobody holds this object any more, as after a `break` out of
    `async for event in model.astream(...)`. It does so once the frame in work is done. One event loop may use it.
    """

    def __init__(self, open_reader: Callable[[], EventReader]) -> None:
        """`open_reader` is called once, on the worker."""
        self._pid = os.getpid()
        self._open = open_reader
        self._work: _Work | None = None

    async def __anext__(self) -> Event:
        work = self._begun()
        item = _End() if work.stopped else await work.next()
        if isinstance(item, Event):
            return item
        if item.failure is not None:
            raise item.failure
        raise StopAsyncIteration

    async def __aenter__(self) -> AsyncEventReader:
        """Waits until the source is open, so that `stream` and `source` are there. Reading begins when the first event
        is asked for. Raises what opening the source does."""
        work = self._begun()
        with work.stopping_when_cancelled():
            await work.opened.wait()
        if work.reader is None:
            item = await work.next()
            closed = InputError("this astream is closed; open another one")
            raise closed if isinstance(item, Event) or item.failure is None else item.failure
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop reading: the loop over the events ends. Returns when the worker has closed the source; one that hangs is
        waited for a few seconds, and closes it when it can."""
        if os.getpid() != self._pid:
            return
        if self._work is None:
            self._work = _Work(asyncio.get_running_loop())
            self._work.end(None)
        work = self._begun()
        work.stop()
        work.arrived.put_nowait(_End())  # for other tasks that wait for an event
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(work.ended.wait(), _PATIENCE)

    def finish(self) -> None:
        """End the loop as the end of the source does: the frames so far are finished and open segments closed; the loop
        gives those events, then it ends. Returns at once: `loop.add_signal_handler(signal.SIGTERM, events.finish)`.
        """
        self._reader().finish()

    def stats(self) -> Stats:
        """The stream's counts and latencies; what the source itself has met is in `source.stats`."""
        return self._reader().stats()

    @property
    def source(self) -> Source:
        """What is read."""
        return self._reader().source

    @property
    def stream(self) -> Stream:
        """The Stream behind the loop. What embeds texts takes a while: `await asyncio.to_thread(stream.watch, [...])`.
        """
        return self._reader().stream

    def _begun(self) -> _Work:
        require_process(self._pid, "this stream", "load a model and open a stream in each process")
        loop = asyncio.get_running_loop()
        if self._work is None:
            work = _Work(loop)
            Worker(_run, work, self._open, name="vljepa-astream", stop=work.stop).start()
            when_dropped(self, work.stop)
            self._work = work
        if self._work.loop is not loop:
            raise InputError("an astream belongs to the event loop that first used it; open one in each loop")
        return self._work

    def _reader(self) -> EventReader:
        reader = None if self._work is None else self._work.reader
        if reader is None:
            raise InputError(
                "the source is not open yet: use `async with model.astream(...) as events`, or wait for an event first"
            )
        return reader


class _Work:
    """What the loop and the worker share. It does not hold the AsyncEventReader, so that one can be dropped."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.arrived: asyncio.Queue[Event | _End] = asyncio.Queue()  # bounded by `room`
        self.opened, self.ended = asyncio.Event(), asyncio.Event()
        self.room: SimpleQueue[None] = SimpleQueue()  # of tokens. A finalizer's stop() may interrupt any call of it
        for _ in range(AHEAD):
            self.room.put(None)
        self.asked: SimpleQueue[None] = SimpleQueue()  # a token once an event is asked for: reading begins
        self.reader: EventReader | None = None
        self.stopped = False

    async def next(self) -> Event | _End:
        """What arrived next. In the loop."""
        if self.asked.empty():
            self.asked.put(None)
        with self.stopping_when_cancelled():
            item = await self.arrived.get()
        if isinstance(item, Event):
            self.room.put(None)
            return item
        self.arrived.put_nowait(_End())  # for whoever asks next
        return item

    @contextlib.contextmanager
    def stopping_when_cancelled(self) -> Iterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            self.stop()
            raise

    def stop(self) -> None:
        """Have the worker end, without waiting for it. Any thread may call it, and a finalizer."""
        self.stopped = True
        if self.reader is not None:
            self.reader.close(wait=False)
        self.room.put(None)
        self.asked.put(None)

    def give(self, event: Event) -> bool:
        """Hand over an event, once there is room; False when the work has been stopped. On the worker."""
        self.room.get()
        if not self.stopped:
            self.tell(self.arrived.put_nowait, event)
        return not self.stopped

    def end(self, failure: BaseException | None) -> None:
        """The worker has ended. In the loop."""
        self.arrived.put_nowait(_End(None if self.stopped else failure))
        self.opened.set()
        self.ended.set()

    def tell(self, callback: Callable[..., object], *args: object) -> None:
        """Call it in the loop. When that is closed nobody waits any more: the work stops."""
        try:
            self.loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            self.stop()


def _run(work: _Work, open_reader: Callable[[], EventReader]) -> None:
    failure: BaseException | None = None
    try:
        if not work.stopped:
            with open_reader() as reader:
                work.reader = reader  # then stop() closes it; before, it is seen in `stopped`
                work.tell(work.opened.set)
                work.asked.get()
                for event in () if work.stopped else reader:
                    if not work.give(event):
                        break
    except BaseException as error:  # SystemExit of a caller's own frames too: whoever waits must hear of it
        failure = error
    work.tell(work.end, failure)
