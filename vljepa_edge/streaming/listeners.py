"""Who is told of a stream's embeddings and events: subscribers and one callback, none of which can stop the stream."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.streaming.event import Event
from vljepa_edge.support.arguments import as_function
from vljepa_edge.support.repeats import Repeats

if TYPE_CHECKING:
    from vljepa_edge.streaming.stats import Tally

logger = logging.getLogger("vljepa_edge")

Callback = Callable[[Event], object]
Subscriber = Callable[[float, NDArray[np.float32], str], object]


class Output:
    """What one step has made, delivered once the locks are free.

    received: whether its events reach someone without poll(): the caller that they are returned to, or the callback.
    """

    def __init__(self, received: bool) -> None:
        self.received = received
        self.embeddings: list[tuple[float, NDArray[np.float32], str]] = []
        self.events: list[Event] = []
        self.failure: tuple[str, BaseException] | None = None  # that is not raised


class Listeners:
    """Calls subscribers and the callback. What they raise is counted, logged and kept in `last_error`.

    wake: called when there are events, which it is not given: it tells a reader to poll().
    """

    def __init__(self, callback: Callback | None, tally: Tally, wake: Callable[[], object] | None = None) -> None:
        self.last_error: BaseException | None = None
        self._callback = None if callback is None else as_function(callback, "callback")
        self._wake = wake
        self._tally = tally
        self._repeats = Repeats(logger, logging.WARNING)
        self._lock = threading.Lock()  # changes of subscribers
        self._subscribers: tuple[Subscriber, ...] = ()

    @property
    def wants_embeddings(self) -> bool:
        """Whether anyone has subscribed."""
        return bool(self._subscribers)

    @property
    def take_events(self) -> bool:
        """Whether there is a callback."""
        return self._callback is not None

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call subscriber(time, embedding, query) at every delivery; returns an undo of this one subscription."""
        as_function(subscriber, "subscriber")

        def subscription(time: float, embedding: NDArray[np.float32], query: str) -> object:
            return subscriber(time, embedding, query)

        with self._lock:
            self._subscribers += (subscription,)

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers = tuple(other for other in self._subscribers if other is not subscription)

        return unsubscribe

    def deliver(self, output: Output, caught: type[BaseException] = Exception) -> None:
        """Log what failed, tell of embeddings, then of events. Errors that are not `caught` are raised. Call it with no
        lock held."""
        if output.failure is not None:
            self._repeats.log(*output.failure)
            output.failure = None  # its traceback refers to this output
        for time, embedding, query in output.embeddings:
            for subscriber in self._subscribers:
                try:
                    subscriber(time, embedding, query)
                except caught as error:
                    self._failed("a subscriber failed", error)
        if self._callback is not None:
            for event in output.events:
                try:
                    self._callback(event)
                except caught as error:
                    self._failed("an event callback failed", error)
        if self._wake is not None and output.events:
            try:
                self._wake()
            except caught as error:
                self._failed("wake failed", error)

    def keep(self, what: str, error: BaseException, output: Output) -> None:
        """Keep an error that is not raised. It is logged when `output` is delivered."""
        self.last_error = error
        output.failure = (what, error)

    def _failed(self, what: str, error: BaseException) -> None:
        self._tally.add("callback_errors")
        self.last_error = error
        self._repeats.log(what, error)
