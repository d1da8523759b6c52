"""One query of a stream: its policy's state, and segments on the clock of events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vljepa_edge._core import Decision, PolicyState

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
    """Feeds a policy and turns its decisions into cuts.

    A cut lies in the middle between the first hop of the new segment and what the policy knows to be before it: the
    oldest frame in the window of that hop, or a later hop that was as the old segment. The window restarts at a hard
    cut, and then that is where the cut lies. Each cut lies after the one before it.
    """

    def __init__(self, query: Query, policy: Policy, width: int) -> None:
        self.query = query
        self.change = 0.0  # of the newest hop, by the policy's measure
        self._state: Any = policy.start(width)
        self._segment = -1
        self._start: float | None = None
        self._earliest: float | None = None
        self._hop = 0.0

    def push(self, embedding: NDArray[np.float32], time: float, since: float) -> list[Cut]:
        """Tell the policy of a hop; what closed and what opened, in this order.

        since: seconds, time of the oldest frame in the window of the hop.
        """
        earliest = time if self._earliest is None else self._earliest
        decision = self._ask(embedding, time, max(since, earliest))
        before, self._earliest, self._hop = self._hop, earliest, time
        self.change = decision.score
        cuts = []
        boundary = earliest
        if self._start is not None:  # a segment that starts with the newest frame has a length, too
            boundary = min((decision.since + decision.start) / 2, (before + time) / 2)
        if decision.closed is not None and self._start is not None:
            cuts.append(self._close(boundary, decision.closed.mean, decision.score))
        if decision.opened:
            self._segment += 1
            self._start = boundary
            cuts.append(Cut(self._segment, boundary, None, embedding, decision.score))
        return cuts

    def _ask(self, embedding: NDArray[np.float32], time: float, since: float) -> Decision:
        told = (embedding, time, since) if isinstance(self._state, PolicyState) else (embedding, time)
        decision: Decision = self._state.push(*told)  # a policy in Python may know no windows
        return decision

    def end(self, time: float) -> list[Cut]:
        """The stream ended at its last frame, at `time`: close the open segment there and start afresh."""
        decision = self._state.flush(time)
        self._state.reset()
        cuts = []
        if decision.closed is not None and self._start is not None:
            cuts.append(self._close(max(time, self._start), decision.closed.mean, 0.0))
            self._earliest = time
        return cuts

    def restart_clock(self) -> None:
        """The next hop may have any time, and the next segment starts no earlier than it."""
        self._earliest = None

    def reset(self) -> None:
        """Forget all but the query."""
        self._state.reset()
        self.change = 0.0
        self._segment = -1
        self._start = self._earliest = None

    def _close(self, end: float, mean: NDArray[np.float32], change: float) -> Cut:
        assert self._start is not None
        cut = Cut(self._segment, self._start, end, mean, change)
        self._start = None
        return cut
