"""What a stream counts."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields

from vljepa_edge.support.json_numbers import number


@dataclass
class Counts:
    """Every pushed frame ends in one of encoded, skipped, repeated, backwards, bad_times, dropped, stale or errors.

    frames           pushed
    encoded          taken into the window
    still            of these, those that no graph was run for: they were as a frame before (see StreamOptions.still)
    skipped          came between two due times of the model's frame rate; cost nothing
    repeated         had the time of the frame before
    backwards        were older than the frame before, by less than a restart of the clock
    bad_times        had a time that is not a finite number of seconds
    dropped          made way in a full queue for a newer frame (live)
    stale            waited in the queue for longer than max_staleness (live)
    errors           were no frame, or a graph or the policy failed on them

    hops             times that the policies were told what the window holds (once a hop, however many queries)
    hops_idle        of these, those that cost nothing: the window was that of the hop before
    hops_put_off     frames at which a hop was due and was not made, as newer frames waited (live)
    decodes          texts decoded
    reuses           texts used again in place of a decode (see StreamOptions.reuse)
    events           events made
    gaps             times that no frame came for longer than the gap, by the times of frames: the window starts again
    restarts         times that the clock jumped back: the window starts again
    stalls           times that no good frame came for longer than the gap, by the clock of this machine (live): none at
                     all, or only frames that were repeated, backwards, bad_times or errors
    resized          times that the size of frames changed
    callback_errors  exceptions of callbacks and subscribers
    unpolled         events that nobody received: no call returned them, no callback was called with them, and they fell
                     out of the bounded list that poll() reads
    seconds          of stream covered by encoded frames, gaps left out
    """

    frames: int = 0
    encoded: int = 0
    still: int = 0
    skipped: int = 0
    repeated: int = 0
    backwards: int = 0
    bad_times: int = 0
    dropped: int = 0
    stale: int = 0
    errors: int = 0
    hops: int = 0
    hops_idle: int = 0
    hops_put_off: int = 0
    decodes: int = 0
    reuses: int = 0
    events: int = 0
    gaps: int = 0
    restarts: int = 0
    stalls: int = 0
    resized: int = 0
    callback_errors: int = 0
    unpolled: int = 0
    seconds: float = 0.0


@dataclass
class Stats(Counts):
    """Counts of a stream at one moment, and p50, p90 and p99 of each stage's last 4096 durations, milliseconds.

    Stages: "hop" (frame in, decision out, without the decoding), and within it "scale", "encode" (X-encoder graphs),
    "predict" (all queries), "policy" and "overhead" (what is left of the hop outside scaling and graphs, the policy
    included), all of hops that aren't idle; beside it "queue" (live: the wait for the worker) and "decode" (one text).
    """

    latency_ms: dict[str, dict[str, float]] = field(default_factory=dict)

    def percentiles(self, stages: Iterable[str]) -> dict[str, dict[str, float | None]]:
        """p50 and p99 of these stages, ready for JSON: milliseconds to three digits, None before the first duration."""
        found = {stage: self.latency_ms.get(stage, {}) for stage in stages}
        return {stage: {p: number(of.get(p), 3) for p in ("p50", "p99")} for stage, of in found.items()}


class Tally:
    """Counts that several threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = Counts()
        self._frames_failed = 0  # since the last hop that succeeded
        self._texts_failed = 0  # since the last that was decoded

    def add(self, name: str, amount: float = 1) -> None:
        """Add to one of the counts."""
        with self._lock:
            setattr(self._counts, name, getattr(self._counts, name) + amount)
            if name == "errors":
                self._frames_failed += 1
            elif name == "hops":
                self._frames_failed = 0
            elif name == "decodes":
                self._texts_failed = 0

    def add_failed_text(self) -> None:
        """A text could not be decoded."""
        with self._lock:
            self._texts_failed += 1

    @property
    def failing(self) -> int:
        """Frames that failed since the last hop that succeeded, or texts since the last that was decoded: the more."""
        return max(self._frames_failed, self._texts_failed)

    def stats(self, latency_ms: dict[str, dict[str, float]]) -> Stats:
        """A copy that does not change any more."""
        with self._lock:
            return Stats(**asdict(self._counts), latency_ms=latency_ms)

    def clear(self) -> None:
        """All zero."""
        with self._lock:
            self._frames_failed = self._texts_failed = 0
            for item in fields(Counts):
                setattr(self._counts, item.name, item.default)
