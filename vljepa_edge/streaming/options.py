"""How a stream samples, waits and decides: its options, gathered once."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from vljepa_edge.errors import InputError
from vljepa_edge.streaming.policy import Policy, parse_policy
from vljepa_edge.support.arguments import as_number, as_probability, shown

if TYPE_CHECKING:
    from vljepa_edge.bundle.manifest import VideoEntry

Decode = Literal["closed", "open", "both", "none"]
"""Which events of a stream have a text: those of segments that close, that open, both, or none."""

_LONGEST_QUEUE = 1_000_000


@dataclass(frozen=True)
class StreamOptions:
    """Options of a stream. Raises InputError for a value that is not allowed, naming the option.

    policy         when to cut and decode, e.g. "running-ward:threshold=0.3"; kept as a Policy
    hop            seconds between two embeddings, rounded to a number of the model's frames. None: the manifest's
    queue          live: frames that may wait for the worker; when one more comes the oldest is dropped, and counted.
                   None: as many as the model's window has, so that a window stays complete during a long hop
    max_staleness  live: seconds that a frame may wait before it is dropped as stale, and counted; inf for no bound
    gap            seconds. When no frame comes for longer, or the clock jumps by more, forward or back, the open
                   segment closes at the last frame and the window is cleared; so it is when the clock jumps back by
                   more than 10 s, whatever the gap. None: the window's length, at least 2; inf: silence is no gap
    decode         which events have a text: "closed" (when a segment ends, from its mean: the better text), "open"
                   (when it begins, from its newest embedding), "both" or "none". Every segment has both events either
                   way. "both" by default: a program that acts on what begins can't wait for its end, which may be
                   minutes away. A text costs more than a hop: "closed" halves that, "none" leaves it to the program
    max_idle       seconds. While the scene is still, nothing is encoded and hops cost nothing: the window, and so its
                   embeddings, are the same and used again. After so long they are computed again. 0: always
    still          0 to 255: levels by which the mean luma of a block of 8 x 8 pixels of the scaled frame may differ
                   from that of the frame encoded last, in a scene that is still. 2 to 4 ignore the noise of a camera; a
                   fade or a slow pan adds up. 0: no pixel differs, and events are those of computing every hop
    min_confidence 0 to 1: a text that is right with a lower probability gives way to a general sentence or, where that
                   is not sure enough either, to none; see Event.confidence. 0 shows every text. None: the manifest's
    reuse          0 to 1: a text is used again, not decoded, where the embedding lies within this cosine distance of
                   one that it was decoded from for the same query: scenes that return cost no text. 0: every text is
                   decoded. The last 64 texts of a query are kept. A closed segment uses none that was decoded when one
                   opened. What radius leaves texts as they are depends on the model, so it is off by default
    """

    policy: str | Policy = "running-ward"
    hop: float | None = None
    queue: int | None = None
    max_staleness: float = 2.0
    gap: float | None = None
    decode: Decode = "both"
    max_idle: float = 10.0
    min_confidence: float | None = None
    reuse: float = 0.0
    still: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", parse_policy(self.policy))
        for name in ("hop", "max_staleness", "gap", "max_idle", "still"):
            value = getattr(self, name)
            if not isinstance(value, bool) and isinstance(value, Real):
                object.__setattr__(self, name, as_number(value, name))  # an integer may be larger than any float
        if self.hop is not None:
            _require(_is_positive(self.hop) and math.isfinite(self.hop), "hop", self.hop, "a number of seconds above 0")
        if self.queue is not None:
            _require(
                _is_count(self.queue),
                "queue",
                self.queue,
                f"a number of frames, at least 1 and at most {_LONGEST_QUEUE}",
            )
        _require(
            _is_positive(self.max_staleness),
            "max_staleness",
            self.max_staleness,
            "a number of seconds above 0, or inf for no bound",
        )
        if self.gap is not None:
            _require(_is_positive(self.gap), "gap", self.gap, "a number of seconds above 0")
        _require(
            _is_number(self.max_idle) and self.max_idle >= 0,
            "max_idle",
            self.max_idle,
            "a number of seconds, at least 0, or inf for no bound",
        )
        _require(
            _is_number(self.still) and 0 <= self.still <= 255, "still", self.still, "a number of levels, 0 to 255"
        )
        if self.min_confidence is not None:
            object.__setattr__(self, "min_confidence", as_probability(self.min_confidence, "min_confidence"))
        object.__setattr__(self, "reuse", as_probability(self.reuse, "reuse"))
        known = get_args(Decode)
        _require(
            isinstance(self.decode, str) and self.decode in known, "decode", self.decode, f"one of {', '.join(known)}"
        )

    def changed(self, **changes: Any) -> StreamOptions:
        """These options with others where a change is not None."""
        given = {name: value for name, value in changes.items() if value is not None}
        return replace(self, **given) if given else self

    def filled(self, video: VideoEntry) -> FilledOptions:
        """With the defaults of a model in place of None. Raises InputError where the model's frame rate forbids one."""
        period, window = 1 / video.fps, video.window / video.fps
        hop = video.hop / video.fps if self.hop is None else self.hop
        gap = max(2.0, window) if self.gap is None else self.gap
        at_rate = f"frames of this model are {period:g} s apart"
        _require(hop >= period * (1 - 1e-6), "hop", hop, f"at least {period:g} seconds; {at_rate}")
        _require(gap > period, "gap", gap, f"more than {period:g} seconds; {at_rate}")
        return FilledOptions(
            policy=cast(Policy, self.policy),
            hop=round(hop * video.fps) * period,
            queue=video.window if self.queue is None else int(self.queue),
            max_staleness=float(self.max_staleness),
            gap=float(gap),
            decode=self.decode,
            max_idle=float(self.max_idle),
            min_confidence=self.min_confidence,
            reuse=self.reuse,
            still=float(self.still),
        )


@dataclass(frozen=True)
class FilledOptions:
    """StreamOptions on one model: `hop` is a multiple of the time between two frames, and nothing is None but
    `min_confidence`, which the model's confidence fills in."""

    policy: Policy
    hop: float
    queue: int
    max_staleness: float
    gap: float
    decode: Decode
    max_idle: float
    min_confidence: float | None
    reuse: float
    still: float


def as_options(value: object) -> StreamOptions:
    """Options that a caller gave; None: all defaults. Raises InputError."""
    if value is None:
        return StreamOptions()
    if not isinstance(value, StreamOptions):
        raise InputError(f"options must be StreamOptions, got {shown(value)}")
    return value


def _is_count(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral) and 1 <= int(value) <= _LONGEST_QUEUE


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real)


def _is_positive(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and float(value) > 0


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise InputError(f"{name} must be {allowed}, got {shown(value)}")
