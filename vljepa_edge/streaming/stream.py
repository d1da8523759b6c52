"""Stream: frames in, events out. All state of a stream is here; the Model is shared."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

from numpy.typing import NDArray

from vljepa_edge.errors import ProcessError
from vljepa_edge.perception.perception import as_model
from vljepa_edge.streaming.admission import Admission
from vljepa_edge.streaming.asking import Asking
from vljepa_edge.streaming.background import Background
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.listeners import Callback, Subscriber
from vljepa_edge.streaming.options import StreamOptions, as_options
from vljepa_edge.streaming.queue import LatestQueue
from vljepa_edge.streaming.session import Session
from vljepa_edge.streaming.stats import Stats

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception
    from vljepa_edge.streaming.analysis import Item


class Stream(Asking):
    """Push frames with their times, get an Event when a segment opens or closes.

    query     one question or several; each has a policy of its own, all share the vision features. None: the model's.
              [] asks nothing, for a stream that only watches
    options   when to look, cut and drop: see StreamOptions
    live      False: push() does the work and returns the new events. True: a worker does it; push() copies a frame that
              is due into a queue (a frame that is not due costs nothing) and returns []
    callback  called with each event: in push() or, live, on the worker. Its exceptions are counted, logged and kept in
              `last_error`; they don't stop the stream (SystemExit neither on the worker; elsewhere it is raised). No
              lock is held: it may call any method of the stream
    wake      called, as the callback is, when there are new events; it is not given them: who reads by poll() uses it

    Frames are sampled by their times at the model's rate (see Sampler). What is wrong with a time is counted (see
    Stats) and the frame is left out. An array that is no frame raises FrameError from push(), and a failing graph
    raises EngineError from push() or, live, is counted and kept in `last_error`; either way the stream goes on with
    the next frame. No segment is lost to it: when its text can't be decoded its event goes to poll() and the callback
    with an empty text, then the error is raised.

    A live stream that can't keep up leaves out hops first, and drops frames only where encoding alone takes too long
    (see Pace). When no good frame comes for longer than `gap`, it reports a stall.

    Any thread may call any method, also while another closes the stream. A stream that is dropped without close(), or
    still open when the program ends, ends its worker by itself; frames that wait are dropped. A stream belongs to the
    process that opened it: in a forked child its methods raise ProcessError, and close() does nothing.
    """

    def __init__(
        self,
        model: Perception,
        query: str | Sequence[str] | None = None,
        options: StreamOptions | None = None,
        *,
        live: bool = False,
        callback: Callback | None = None,
        wake: Callable[[], object] | None = None,
    ) -> None:
        video = as_model(model).manifest.video
        filled = as_options(options).filled(video)
        queue: LatestQueue[Item] | None = LatestQueue(filled.queue) if live else None
        session = Session(model, filled, callback, wake, None if queue is None else queue.__len__)
        super().__init__(model, session, query, filled.policy)
        self.live = live
        self._door = threading.RLock()  # admits frames; taken before the session's lock
        self._admission = Admission(video.fps, filled.gap, session.tally)
        self._background = None if queue is None else Background(session, queue, self._admission, filled)

    # --- frames in ---

    def push(self, frame: NDArray[Any], time: float, *, copy: bool = True) -> list[Event]:
        """Give the stream a frame: uint8 (height, width, 3), grey or RGBA of any size, and its time in seconds.

        A live stream copies a frame that is due, which takes about a millisecond for 1080p and four for 4K. Where the
        array is new for each frame, `copy=False` hands it over: nobody may change it afterwards.

        Returns the new events (live: none, see poll() and the callback). Raises FrameError for an array that is no
        frame, InputError for a time that is no number or a closed stream, EngineError when a graph fails.
        """
        called = perf_counter()
        session = self._session
        session.check_process()
        with session.returning() as output, self._door:
            session.check_open()
            session.tally.add("frames")
            item = self._admission.admit(frame, time, called, copy and self.live, session.life)
            if item is None:
                return []
            if self._background is not None:
                self._background.put(item)
                return []
            with session.work:
                session.analysis.take(item, output)
        return output.events

    def poll(self) -> list[Event]:
        """The events since the last poll(), oldest first, without waiting for the frame in work.

        The latest 256 are kept, and all that one call made. Stats.unpolled counts those of the others that no call has
        returned and no callback received.
        """
        self._session.check_process()
        return self._session.emitter.take()

    def flush(self) -> list[Event]:
        """Finish the frames pushed so far and close the open segments at the last frame. The stream can go on."""
        session = self._session
        session.check_process()
        if self._background is not None and not self._background.is_me:
            self._background.queue.join()
        with session.returning() as output, session.work:
            session.check_open()
            if self._background is not None:
                self._background.expect_nothing()
            if session.analysis.last is not None:
                session.analysis.end_all(session.analysis.last, session.analysis.last, output)
        return output.events

    def reset(self) -> None:
        """Forget frames, segments, events not polled and counts, as if just opened. Queries, labels, heads and
        subscribers stay."""
        session = self._session
        session.check_process()
        with self._door, session.work:
            session.check_open()
            session.life += 1
            if self._background is not None:
                self._background.queue.clear()
                self._background.expect_nothing()
            self._admission.restart()
            session.analysis.reset()
            session.emitter.forget()
            session.tally.clear()
            session.latencies.clear()
            session.listeners.last_error = None

    def close(self) -> None:
        """Stop, dropping what waits; call flush() first to have the last segment closed. Events stay to be polled.

        Waits for calls of other threads that are at work. Can be called twice, and in a callback.
        """
        if not self._session.is_here:
            return
        self._session.closed = True
        if self._background is not None:
            self._background.close()
        with self._door, self._session.work:
            pass

    def __reduce__(self) -> NoReturn:
        raise ProcessError("a stream can't be pickled or copied; load a model and open a stream in each process")

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what it tells ---

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call subscriber(time of the newest frame, embedding, query) at every hop, before its events; returns an undo.

        The embedding is float32 [E], unit norm, read-only. Exceptions are handled as the callback's are.
        """
        return self._session.listeners.subscribe(subscriber)

    @property
    def last_error(self) -> BaseException | None:
        """The latest error that was counted but not raised: of a callback, a subscriber or, live, of a frame."""
        return self._session.listeners.last_error

    @property
    def failing(self) -> int:
        """Frames that failed since the last hop that succeeded, or texts since the last that was decoded: the more.
        Where it only rises, a graph or policy is of no use any more: load the model again."""
        return self._session.tally.failing

    def stats(self) -> Stats:
        """Counts and latencies so far."""
        self._session.check_process()
        return self._session.tally.stats(self._session.latencies.summary())
