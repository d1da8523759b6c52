"""The C++ core (bindings/): what streams of both languages decide by, and offline chain Ward.

Embeddings are C-contiguous float32 arrays, read in place; anything else raises `vljepa_edge.errors.InputError`, a
non-finite element too. Times are seconds. What may take long releases the GIL; objects may be shared by
threads (calls on one object take turns).
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, overload

import numpy as np
from numpy.typing import NDArray

ROUNDING: Final[float]
"""Seconds. Containers round stamps, Matroska to a millisecond; a frame that is early by no more is on time."""
EARLY: Final[float]
"""The share of the time since the frame before by which a frame of a camera may come early, so that the jitter of one
at the model's own rate does not halve it. Recordings have no jitter."""

Verdict = Literal["due", "skipped", "repeated", "backwards", "bad_times", "restarts", "gaps"]
"""What the time of a frame means; all but the first are names of counts."""

class Grid:
    """Samples at `fps`: the first frame at or after each due time. None takes all.

    The first frame sets the grid, and so does one that is older than the frame before it. A frame may come early by the
    share `early` of the time since the one before it (of 1 / fps at most).
    """

    def __init__(self, fps: float | None, early: float = 0.0) -> None: ...
    def takes(self, time: float) -> bool:
        """Whether the next frame, which has this time, is due; if so it is taken."""
    def is_due(self, time: float) -> bool:
        """Whether the next frame, which has this time, is one to take()."""
    def take(self, time: float) -> None:
        """The frame of this time is good: the next is due a period later. One that isn't leaves its turn open."""

class Sampler:
    """Which of the pushed frames the model sees: those due on a Grid that allows frames to be EARLY.

    A stamp older than the newest one is "backwards" when it is so by at most `gap` seconds, 10 at most; by more it is
    one of the "restarts": the clock started again (a camera reconnected), and so does the grid. So a wild stamp in the
    future costs at most so many seconds of frames. A stamp that is more than `gap` seconds later than the newest one is
    one of the "gaps": no frame came in between. Stamps beyond 1e12 s are "bad_times": they are milliseconds or
    nanoseconds.
    """

    def __init__(self, fps: float, gap: float) -> None:
        """fps: frames per second to take. gap: seconds, above 1 / fps."""
    def judge(self, time: float) -> Verdict:
        """What to do with a frame of this time; those "due", "gaps" and "restarts" are to be taken."""
    def take(self, time: float) -> None:
        """The frame of this time was good: the next is due a period later. One that failed leaves its turn open."""
    def restart(self) -> None:
        """Forget the clock: the next frame is due and begins the grid."""

class WindowPlaces:
    """Where the frames of a sliding window lie, and their times; what is kept of them is kept by whoever asks.

    Each lies in a ring of twice the window's length in which every frame is written twice, at its place and `size`
    places further on, so that the window is one contiguous piece that starts at `first`. Until `size` frames came, the
    first one stands in for those before it: it is written to all places. Its length is the number of frames held since
    clear(), at most `size`.
    """

    def __init__(self, size: int) -> None:
        """Raises InputError unless `size` is at least 1."""
    @property
    def size(self) -> int: ...
    @property
    def first(self) -> int: ...
    @property
    def times(self) -> NDArray[np.float64]:
        """Seconds of the window's frames, oldest first, (size,). A view: valid until the next push."""
    def __len__(self) -> int: ...
    def push(self, time: float) -> int:
        """Adds a frame. Returns its place."""
    def place(self, age: int) -> int:
        """The place of the frame that came `age` frames before the newest, `age` below `size`."""
    def copy(self) -> WindowPlaces: ...
    def clear(self) -> None:
        """Forgets the frames."""

class Still:
    """Still scenes: frames that are as the one encoded last, so that they need no encoding.

    Frames, uint8 (height, width, 3), are compared with that one, not with the one before, so that a slow fade or pan
    adds up until it counts.
    """

    def __init__(self, window: int, longest: float, levels: float) -> None:
        """window: frames in the window of what is encoded. longest: seconds for which what the frame was encoded to is
        given again; then it is to be encoded again. 0: nothing is compared. levels: of 255, by which the mean luma of a
        block of 8 x 8 pixels may differ; 0: no pixel may differ.
        """
    def is_repeated(self, frame: NDArray[np.uint8]) -> bool:
        """Whether a frame is as the one that was kept."""
    def is_fresh(self, time: float) -> bool:
        """Whether the frame that was kept may stand for one of this time."""
    def keep(self, frame: NDArray[np.uint8], time: float) -> None:
        """The newest frame that was encoded, of which a copy is kept."""
    def forget(self) -> None:
        """The next frame repeats none."""
    def count(self, repeats: bool) -> bool:
        """A frame was added to the window, and repeats the one kept or not. Returns whether the window has changed: one
        that held nothing but this frame has not."""
    @property
    def same(self) -> int:
        """How many of the window's newest frames are as one; the first fills the window."""
    def clear(self) -> None:
        """As forget(), and the window is empty."""

class ShotDetector:
    """Hard cuts and flashes; see vljepa_edge.perception.shots."""

    def __init__(self, frames: int) -> None: ...
    def begins(self, frame: NDArray[np.uint8], features: Sequence[NDArray[np.float32]]) -> bool:
        """Whether a shot begins with this frame, uint8 (height, width, 3), with its features, C-contiguous and always
        in the same order. Not with the first frame."""
    def clear(self) -> None:
        """Forget the frames."""

class Pace:
    """What a live worker can afford: every frame is encoded, and hops are left out first. Durations in, decisions out.

    The frames of a window should be evenly spaced, so frames are encoded in order. Once one has waited for longer than
    `patience`, no hop is made until no frame waits any more: the next hop sees the newest frame. Where encoding alone
    takes as long as the camera, that moment never comes. Then the newest frame is taken, those before it are dropped,
    and hops take at most as long as the encoding between them.

    So hops never stop. Once encoding had its share, the time of a hop, no hop is made only while each 8 frames take 0.8
    of their time at most, and what waits gets less by 0.2 of it.
    """

    def __init__(self, period: float, patience: float) -> None:
        """period: seconds between two frames of the model. patience: seconds that a frame may wait."""
    def restart(self) -> None:
        """Forget what was measured."""
    def note_frame(self, seconds: float) -> None:
        """A frame was scaled and encoded in so many seconds."""
    def note_hop(self, seconds: float) -> None:
        """A hop took so many seconds, listeners included."""
    @property
    def keeps_up(self) -> bool:
        """Whether encoding is faster than the frames come: one of the last two frames was, and the mean of the last 8.
        A frame that was held up once says nothing."""
    def can_hop(self, waited: float, waiting: int) -> bool:
        """Whether to make a hop at a frame that waited so many seconds, while `waiting` newer ones wait."""

class Segments:
    """The segments of one query on the clock of events: from the decisions of its policy to cuts.

    A cut lies in the middle between the first hop of the new segment and what the policy knows to be before it: the
    oldest frame in the window of that hop, or a later hop that was as the old segment. The window restarts at a hard
    cut, and then that is where the cut lies. Each cut lies after the one before it. A segment is (its number, start,
    end), with no end while it is open.
    """

    def told(self, time: float, since: float) -> float:
        """What the policy is to be told of a hop as the oldest time that it speaks of. since: the oldest frame of its
        window."""
    def push(
        self, time: float, closes: bool, opens: bool, since: float, start: float
    ) -> list[tuple[int, float, float | None]]:
        """The policy was told of a hop, and has decided that the open segment closes, that one opens, when what that is
        about began at the earliest, and when it started. What closed and what opened, in this order."""
    def end(self, time: float, closes: bool) -> tuple[int, float, float | None] | None:
        """The stream ended with a frame at `time`, and the policy was flushed. What closed, if it closes something."""
    def restart_clock(self) -> None:
        """The next hop may have any time, and the next segment starts no earlier than it."""
    def reset(self) -> None: ...

class HysteresisState:
    """One thing that is looked for; see vljepa_edge.streaming.hysteresis. What began or ended is (start, end, peak)."""

    def __init__(self, begin: float, end: float, hold: float) -> None: ...
    @property
    def is_seen(self) -> bool: ...
    @property
    def peak(self) -> float: ...
    def push(self, probability: float, time: float, told_as: float) -> tuple[float, float | None, float] | None: ...
    def finish(self) -> tuple[float, float | None, float] | None: ...
    def restart_clock(self) -> None: ...
    def reset(self) -> None: ...

Seen = tuple[int, int, float, float | None, float]
"""Which thing, how many were seen before, start, end (None: it appeared, else it is gone), the largest probability."""

class Watch:
    """Things that one stream looks for, each with a HysteresisState; see vljepa_edge.streaming.watch."""

    def __init__(self, policies: Sequence[tuple[float, float, float]]) -> None:
        """policies: `begin`, `end` and `hold` of each."""
    def push(self, chances: NDArray[Any], time: float, since: float) -> list[Seen]:
        """Tell of a hop: the probability of each, the hop's time, and that of its window's oldest frame."""
    @property
    def seen(self) -> list[tuple[int, float]]:
        """What is seen now, and its largest probability so far."""
    def end(self, last: float) -> list[Seen]:
        """The stream ended with a frame at `last`: what is seen is gone."""
    def restart_clock(self) -> None:
        """The next hop may have any time. To be called after end()."""
    def reset(self) -> None:
        """Forget all that was seen."""

class Said:
    """The embeddings of the last 64 texts of one query that were decoded. A text stands at its place, 0 to 63, kept by
    whoever asks; the least recently used makes way. See vljepa_edge.streaming.said."""

    def __init__(self, radius: float) -> None: ...
    def __len__(self) -> int: ...
    def find(self, embedding: NDArray[np.float32], is_mean: bool) -> int | None:
        """The place of the nearest text within the radius of a unit embedding, None if there is none."""
    def keep(self, embedding: NDArray[np.float32], is_mean: bool) -> int:
        """A text was decoded from a unit embedding. Returns its place. All have one width."""

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
