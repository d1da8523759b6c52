"""The C++ core (bindings/): sliding-window statistics, online segmentation policies, offline chain Ward.

Embeddings are C-contiguous float32 arrays, read in place; anything else raises `vljepa_edge.errors.InputError`, a
non-finite element too. Times are seconds. Every call releases the GIL; objects may be shared by threads (calls on one
object take turns).
"""

from typing import overload

import numpy as np
from numpy.typing import NDArray

class Segment:
    """A closed stretch of the stream: the embeddings pushed at start <= time < end."""

    @property
    def start(self) -> float:
        """Seconds, time of its first embedding."""
    @property
    def end(self) -> float:
        """Seconds, time of the next segment's first embedding, or of the flush."""
    @property
    def mean(self) -> NDArray[np.float32]:
        """(width,), mean of its embeddings scaled to unit norm; zeros if they cancel out."""
    @property
    def count(self) -> int:
        """Embeddings in the mean: all of them, or those that speak of nothing before it."""
    @property
    def score(self) -> float:
        """Change score of the push that closed it, 0 for a flush."""

class Decision:
    """What a policy says about one push."""

    @property
    def opened(self) -> bool:
        """A new segment opened; `start` is its start."""
    @property
    def start(self) -> float:
        """Seconds, start of the open segment; the flush time when none is open."""
    @property
    def since(self) -> float:
        """Seconds: what the open segment is about began between `since` and `start`."""
    @property
    def score(self) -> float:
        """Change score of this push, in the unit of the policy's threshold."""
    @property
    def closed(self) -> Segment | None:
        """The segment that this push ended."""

class PolicyState:
    """One policy on one stream. Segments tile the time line: each push is in one, each ends where the next starts."""

    @property
    def width(self) -> int: ...
    def push(self, embedding: NDArray[np.float32], time: float, since: float | None = None) -> Decision:
        """Take the unit-norm embedding (width,) of one hop at `time`, which must be after the last push.

        since: seconds, time of the oldest frame that the embedding speaks of, not after `time`. None: `time`.
        Right after a flush it must not be before that. A push that raises InputError changes nothing.
        """
    def flush(self, time: float) -> Decision:
        """Close the open segment, if any, at `time`, which must not be before the last push."""
    def reset(self) -> None:
        """Forget the stream; the state is as new."""

def uniform(width: int, *, period: float) -> PolicyState: ...
def local_variance(width: int, *, threshold: float, window: int, smooth: int, min_duration: float) -> PolicyState: ...
def running_ward(
    width: int, *, threshold: float, smooth: int, min_duration: float, max_duration: float, back: float
) -> PolicyState: ...
def budget(
    width: int, *, per_minute: float, burst: int, least: float, smooth: int, min_duration: float, back: float
) -> PolicyState: ...

class SlidingStats:
    """Mean and variance of the last `window` embeddings, O(width) a push, free of drift however long the stream is."""

    def __init__(self, width: int, window: int) -> None: ...
    @property
    def width(self) -> int: ...
    @property
    def window(self) -> int: ...
    @property
    def count(self) -> int:
        """Embeddings in the window: at most `window`."""
    @property
    def mean(self) -> NDArray[np.float32]:
        """(width,), zeros while empty."""
    @property
    def variance(self) -> float:
        """Population variance summed over dimensions, i.e. the mean squared distance to the mean; 0 while empty."""
    def push(self, embedding: NDArray[np.float32]) -> None: ...
    def clear(self) -> None: ...

@overload
def chain_ward(embeddings: NDArray[np.float32], n_segments: int) -> NDArray[np.int64]: ...
@overload
def chain_ward(embeddings: NDArray[np.float32], *, threshold: float) -> NDArray[np.int64]:
    """Offline segmentation of embeddings (time, width): Ward's clustering where only neighbours in time may join.

    Joins down to `n_segments`, or until the cheapest join costs more than `threshold` (the unit of running-ward's
    threshold; scikit-learn reports sqrt(2 * cost)). Returns the index of each segment's first row, ascending, the first
    one 0.
    """

def chain_ward_joins(embeddings: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All joins down to one segment in their order: where a segment starts no more, int64 (T - 1,), and the costs."""
