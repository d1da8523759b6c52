"""The worker of a live stream: it takes the frames that wait, and says when none has come for too long."""

from __future__ import annotations

import threading
import weakref
from time import perf_counter
from typing import TYPE_CHECKING

from vljepa_edge.streaming.listeners import Output
from vljepa_edge.streaming.queue import LatestQueue
from vljepa_edge.support.ending import Worker, when_dropped

if TYPE_CHECKING:
    from vljepa_edge.streaming.admission import Admission
    from vljepa_edge.streaming.analysis import Item
    from vljepa_edge.streaming.options import FilledOptions
    from vljepa_edge.streaming.session import Session

_LONGEST_WAIT = 60.0  # seconds; a bound for `gap=inf`


class Background:
    """The frames that wait, and the thread that works on them. It ends when this object is dropped."""

    def __init__(
        self, session: Session, queue: LatestQueue[Item], admission: Admission, options: FilledOptions
    ) -> None:
        self.queue = queue
        self._session = session
        self._admission = admission
        self._gap = options.gap
        self._max_staleness = options.max_staleness
        self._expects_frames = False  # whether silence would be a stall; under the session's lock
        self.worker = Worker(serve, weakref.ref(self), queue, name="vljepa-stream", stop=queue.close)
        when_dropped(self, queue.close)
        self.worker.start()

    @property
    def is_me(self) -> bool:
        """Whether the caller is the worker, as a callback is."""
        return threading.current_thread() is self.worker

    def put(self, item: Item) -> None:
        """A frame for the worker. One that makes way for it is counted."""
        if self.queue.put(item):
            self._session.tally.add("dropped")

    def expect_nothing(self) -> None:
        """Silence is no stall until the next frame. To be called with the session's lock."""
        self._expects_frames = False

    def close(self) -> None:
        """Drop the frames that wait, and let the worker finish the one in work."""
        self._session.tally.add("dropped", self.queue.close())
        if not self.is_me:
            self.worker.join()

    def work_on(self, item: Item) -> None:
        """The worker's step: as push() does it, but nothing is raised, not even SystemExit: it would end the worker."""
        session = self._session
        output = Output(received=session.listeners.take_events)
        with session.work:
            if not session.analysis.pace.keeps_up:
                item, dropped = self.queue.newest(item)
                session.tally.add("dropped", dropped)
            if item.life == session.life:
                self._expects_frames = True
                if session.closed:
                    session.tally.add("dropped")
                elif perf_counter() - item.admitted > self._max_staleness:
                    session.tally.add("stale")
                else:
                    try:
                        session.analysis.take(item, output)
                    except BaseException as error:
                        session.listeners.keep("a live stream failed on a frame", error, output)
        session.listeners.deliver(output, caught=BaseException)
        session.analysis.note_hop()

    def report_silence(self) -> float:
        """The worker's step between frames: report a stall when it is time. Returns the seconds to wait at most."""
        session, analysis = self._session, self._session.analysis
        output = Output(received=session.listeners.take_events)
        with session.work:
            if len(self.queue):  # it may have come while the lock was waited for
                return 0.0
            if not self._expects_frames or session.closed or analysis.last is None:
                return self._gap
            silent = perf_counter() - self._admission.arrived
            if silent < self._gap:
                return self._gap - silent
            self._expects_frames = False
            decided_at = analysis.last + silent
            try:
                analysis.end_all(analysis.last, decided_at, output)
            except BaseException as error:
                session.listeners.keep("a live stream failed at a stall", error, output)
            session.emitter.emit_stall(analysis.last, decided_at, output)
            session.tally.add("stalls")  # a stall that is counted can be polled
        session.listeners.deliver(output, caught=BaseException)
        return self._gap


def serve(background: weakref.ref[Background], queue: LatestQueue[Item]) -> None:
    """What the worker runs. It holds the stream's state only while it works, so that a forgotten stream can go."""
    patience = 0.0
    while True:
        item = queue.get(min(patience, _LONGEST_WAIT))
        target = background()
        try:
            if target is None:
                return
            if item is not None:
                target.work_on(item)
            if queue.closed:
                return
            patience = target.report_silence()
        finally:
            del target
            queue.done()
