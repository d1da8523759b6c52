"""Heads in a stream: the events that a user has taught, from features that the stream has anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.perception.head import is_background
from vljepa_edge.streaming.hysteresis import Hysteresis
from vljepa_edge.streaming.watch import Watch

if TYPE_CHECKING:
    from vljepa_edge.perception.head import Head


class Taught:
    """The events of a head, as what a Watch watches for."""

    query = ""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.names = head.events
        self._events = np.array([not is_background(label) for label in head.labels])

    def probabilities(self, row: NDArray[np.float32], /) -> NDArray[np.float64]:
        """Of features [F] of a window, the probability of each event."""
        found: NDArray[np.float64] = self.head.probabilities(row)[self._events]
        return found


def watch_head(head: Head, hold: float) -> Watch[Taught]:
    """A watch for the events of a head: each begins at the head's threshold and ends below two thirds of it.

    Raises InputError for a `hold` that is no number of seconds, 0 to 86400.
    """
    policy = Hysteresis(hold=hold).beginning_at(head.threshold)
    taught = Taught(head)
    return Watch(taught, [policy] * len(taught.names))
