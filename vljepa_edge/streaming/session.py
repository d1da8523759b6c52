"""What the parts of a stream share: the lock of its work, what it counts, and whether it is still open."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vljepa_edge.errors import InputError
from vljepa_edge.streaming.analysis import Analysis
from vljepa_edge.streaming.emitter import Emitter
from vljepa_edge.streaming.latency import Latencies
from vljepa_edge.streaming.listeners import Callback, Listeners, Output
from vljepa_edge.streaming.stats import Tally
from vljepa_edge.support.ending import require_process

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception
    from vljepa_edge.streaming.options import FilledOptions


class Session:
    """The state of one stream behind its door: the work on frames, under the lock `work`, and who is told of it.

    waiting: how many frames wait for a worker; None where push() does the work.
    """

    def __init__(
        self,
        model: Perception,
        options: FilledOptions,
        callback: Callback | None,
        wake: Callable[[], object] | None,
        waiting: Callable[[], int] | None,
    ) -> None:
        self.work = threading.RLock()  # window, tracks, making events
        self.life = 0  # counts the resets
        self.closed = False
        self.tally = Tally()
        self.latencies = Latencies()
        self.listeners = Listeners(callback, self.tally, wake)
        self.emitter = Emitter(model, options, self.tally, self.latencies)
        self.analysis = Analysis(
            model.vision, options, self.emitter, self.listeners, self.tally, self.latencies, waiting
        )
        self._pid = os.getpid()

    @contextmanager
    def returning(self) -> Iterator[Output]:
        """For a call that returns the events of its output: they are delivered at its end, also when it raises."""
        output = Output(received=True)
        try:
            yield output
        except BaseException:
            output.received = self.listeners.take_events
            raise
        finally:
            self.listeners.deliver(output)

    @property
    def is_here(self) -> bool:
        """Whether this is the process in which the stream was opened."""
        return os.getpid() == self._pid

    def check_process(self) -> None:
        """To be called before a lock is taken: in a forked child another thread's lock stays locked."""
        require_process(self._pid, "this stream", "load a model and open a stream in each process")

    def check_open(self) -> None:
        """Raises InputError for a closed stream."""
        if self.closed:
            raise InputError("this stream is closed; open another with model.open_stream()")
