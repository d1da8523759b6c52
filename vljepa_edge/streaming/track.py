"""One query of a stream: its policy's state, and segments on the clock of events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vljepa_edge._core import Decision, PolicyState, Segments

if TYPE_CHECKING:
    from vljepa_edge.perception.text import Query
    from vljepa_edge.streaming.policy import Policy


class Cut(NamedTuple):
    """A segment that opened (`end` None, the newest embedding) or closed (the mean embedding of the segment)."""

    segment: int
    start: float
    end: float | None
    embedding: NDArray[np.float32]
    change: float


class Track:
    """Feeds a policy and turns its decisions into cuts, which lie where Segments puts them."""

    def __init__(self, query: Query, policy: Policy, width: int) -> None:
        self.query = query
        self.change = 0.0  # of the newest hop, by the policy's measure
        self._state: Any = policy.start(width)
        self._segments = Segments()

    def push(self, embedding: NDArray[np.float32], time: float, since: float) -> list[Cut]:
        """Tell the policy of a hop; what closed and what opened, in this order.

        since: seconds, time of the oldest frame in the window of the hop.
        """
        decision = self._ask(embedding, time, self._segments.told(time, since))
        self.change = decision.score
        closed = decision.closed
        spans = self._segments.push(time, closed is not None, decision.opened, decision.since, decision.start)
        return [
            Cut(number, start, end, embedding if closed is None or end is None else closed.mean, decision.score)
            for number, start, end in spans
        ]

    def _ask(self, embedding: NDArray[np.float32], time: float, since: float) -> Decision:
        told = (embedding, time, since) if isinstance(self._state, PolicyState) else (embedding, time)
        decision: Decision = self._state.push(*told)  # a policy in Python may know no windows
        return decision

    def end(self, time: float) -> list[Cut]:
        """The stream ended at its last frame, at `time`: close the open segment there and start afresh."""
        decision = self._state.flush(time)
        self._state.reset()
        span = self._segments.end(time, decision.closed is not None)
        return [] if span is None else [Cut(*span, decision.closed.mean, 0.0)]

    def restart_clock(self) -> None:
        """The next hop may have any time, and the next segment starts no earlier than it."""
        self._segments.restart_clock()

    def reset(self) -> None:
        """Forget all but the query."""
        self._state.reset()
        self.change = 0.0
        self._segments.reset()
