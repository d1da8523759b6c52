"""Selective decoding: policies that cut a stream of embeddings into segments, so that text is decoded once a segment.

A policy is a frozen description, written `name:key=value,key=value` on the command line and in configs. `start(width)`
gives its state on one stream, which lives in the C++ core: (embedding, time) in, decision out, no clock and no I/O.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any, ClassVar

from vljepa_edge import _core
from vljepa_edge.errors import InputError
from vljepa_edge.support.arguments import as_number, shown


@dataclass(frozen=True)
class _Range:
    """The numbers that are allowed for one key."""

    low: float
    high: float
    unit: str
    above: bool = False  # `low` itself isn't allowed
    integer: bool = False  # hops rather than seconds or a score
    endless: bool = False  # inf is allowed

    def __str__(self) -> str:
        limits = f"above {self.low:g} and at most {self.high:g}" if self.above else f"{self.low:g} to {self.high:g}"
        return f"{'an integer' if self.integer else 'a number'}, {limits}{self.unit}{', or inf' * self.endless}"

    def read(self, value: object) -> float | None:
        """`value` as a plain int or float, None if it isn't allowed."""
        if isinstance(value, bool) or not isinstance(value, Integral if self.integer else Real):
            return None
        number = as_number(value, "it")
        allowed = (self.low < number if self.above else self.low <= number) and number <= self.high
        if not allowed and not (self.endless and number == math.inf):
            return None
        return int(number) if self.integer else number


def _number(default: float, allowed: _Range) -> Any:
    return field(default=default, metadata={"range": allowed})


_DAY = 86400
_COST = _Range(0, 4, ", the most that two unit embeddings can differ by", above=True)
_HOPS = _Range(1, 1024, " hops", integer=True)
_MIN_DURATION = _Range(0, _DAY, " seconds")
_BACK = _Range(0, 1, ", a share of the threshold", above=True)


@dataclass(frozen=True)
class Policy(ABC):
    """Base of the policies. Raises InputError for a value outside its range, naming the key and the range."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        for key in fields(self):
            value, allowed = getattr(self, key.name), key.metadata["range"]
            number = allowed.read(value)
            if number is None:
                raise InputError(f"{self.name}: {key.name} must be {allowed}, got {shown(value)}")
            object.__setattr__(self, key.name, number)

    def __str__(self) -> str:
        """As parse_policy reads it: the first key, and the others where they differ from their default."""
        first, *others = fields(self)
        shown = [first] + [key for key in others if getattr(self, key.name) != key.default]
        return f"{self.name}:" + ",".join(f"{key.name}={getattr(self, key.name)!r}" for key in shown)

    @abstractmethod
    def start(self, width: int) -> _core.PolicyState:
        """A new state for one stream of embeddings of shape (width,)."""


@dataclass(frozen=True)
class Uniform(Policy):
    """A segment every `period` seconds: the paper's baseline. Score: elapsed share of the period."""

    name: ClassVar[str] = "uniform"
    period: float = _number(1.0, _Range(0, _DAY, " seconds", above=True))

    def start(self, width: int) -> _core.PolicyState:
        return _core.uniform(width, period=self.period)


@dataclass(frozen=True)
class LocalVariance(Policy):
    """Section 2 of the paper: a new segment when the local variance of the smoothed stream exceeds a threshold.

    The stream is average-pooled over the last `smooth` hops; the variance is that of the last `window` pooled
    embeddings, summed over dimensions. Both restart at a split, so one change splits once. A segment lasts at least
    `min_duration` seconds. The paper gives neither window nor threshold: these defaults suit a hop of 0.25 s and an
    encoder window of 2 s. Score: the variance.
    """

    name: ClassVar[str] = "local-variance"
    threshold: float = _number(0.15, _Range(0, 1, ", the largest variance of unit embeddings", above=True))
    window: int = _number(8, _Range(2, 1024, " hops", integer=True))
    smooth: int = _number(2, _HOPS)
    min_duration: float = _number(0.5, _MIN_DURATION)

    def start(self, width: int) -> _core.PolicyState:
        return _core.local_variance(
            width,
            threshold=self.threshold,
            window=self.window,
            smooth=self.smooth,
            min_duration=self.min_duration,
        )


@dataclass(frozen=True)
class RunningWard(Policy):
    """Causal Ward clustering: the offline segmentation of the paper's section 4.6, without a look at the future.

    An embedding, average-pooled over the last `smooth` hops, joins the open segment of n embeddings unless Ward's cost
    of that, n/(n+1) * |segment mean - embedding|^2, exceeds `threshold`. Then it starts a candidate, which becomes the
    open segment once it has lasted `min_duration` seconds; if the stream returns before, the candidate joins the open
    segment, so that a noisy hop doesn't split. It has returned when the cost is at most `back` of the threshold: below
    1 that is hysteresis, one threshold to leave and another to come back. At a hard cut, where the window restarts, a
    tenth of the threshold is enough. While the windows of a new segment hold frames from before it, they are left out
    of its mean and cannot split it. A segment is split anyway after `max_duration` seconds. Score: Ward's cost.
    """

    name: ClassVar[str] = "running-ward"
    threshold: float = _number(0.3, _COST)
    smooth: int = _number(1, _HOPS)
    min_duration: float = _number(0.5, _MIN_DURATION)
    max_duration: float = _number(math.inf, _Range(0, _DAY, " seconds", above=True, endless=True))
    back: float = _number(1.0, _BACK)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_duration <= self.min_duration:
            raise InputError(
                f"{self.name}: max_duration {self.max_duration!r} is not supported; "
                f"use more than min_duration, {self.min_duration!r} seconds"
            )

    def start(self, width: int) -> _core.PolicyState:
        return _core.running_ward(
            width,
            threshold=self.threshold,
            smooth=self.smooth,
            min_duration=self.min_duration,
            max_duration=self.max_duration,
            back=self.back,
        )


@dataclass(frozen=True)
class Budget(Policy):
    """RunningWard that sets its own threshold so that `per_minute` segments open a minute, where that much changes.

    The threshold rises by a third with each segment and falls by as much in the time in which one may open, down to
    `least`, below which a change is noise; it begins at 0.3. So it settles where just so many changes cost more, with
    no look at the future. A token bucket makes it a bound: of any stretch of t seconds at most `burst` + t / 60 *
    `per_minute` segments open. A change that finds the bucket empty waits as a candidate, and is dated to where it
    began; where it is over before there is a token, or another takes its place, no segment tells of it, and its
    embeddings are in no mean. After a gap the bucket is full. `smooth`, `min_duration`, `back` and the score are
    RunningWard's.
    """

    name: ClassVar[str] = "budget"
    per_minute: float = _number(6.0, _Range(0, 6000, " segments a minute", above=True))
    burst: int = _number(3, _Range(1, 1024, " segments", integer=True))
    least: float = _number(0.1, _Range(0, 2, ", the least threshold", above=True))
    smooth: int = _number(1, _HOPS)
    min_duration: float = _number(0.5, _MIN_DURATION)
    back: float = _number(1.0, _BACK)

    def start(self, width: int) -> _core.PolicyState:
        return _core.budget(
            width,
            per_minute=self.per_minute,
            burst=self.burst,
            least=self.least,
            smooth=self.smooth,
            min_duration=self.min_duration,
            back=self.back,
        )


_POLICIES: dict[str, type[Policy]] = {kind.name: kind for kind in (Uniform, LocalVariance, RunningWard, Budget)}


def parse_policy(text: str | Policy) -> Policy:
    """The policy that `name:key=value,key=value` describes, e.g. `running-ward:threshold=0.3`.

    A Policy, or another object with a method `start`, is returned as it is. Keys that are left out keep their default.
    Raises InputError that lists the allowed names, keys or numbers.
    """
    if not isinstance(text, str):
        if isinstance(text, type) or not callable(getattr(text, "start", None)):
            raise InputError(
                f"policy must be a text such as 'running-ward:threshold=0.3', or a Policy, got {shown(text)}"
            )
        return text
    name, _, settings = text.strip().partition(":")
    kind = _POLICIES.get(name.strip())
    if kind is None:
        known = ", ".join(_POLICIES)
        raise InputError(f"policy must be one of {known}, e.g. running-ward:threshold=0.3, got {shown(name.strip())}")
    ranges: dict[str, _Range] = {key.name: key.metadata["range"] for key in fields(kind)}
    values: dict[str, float] = {}
    for setting in settings.split(",") if settings.strip() else []:
        key, _, value = (part.strip() for part in setting.partition("="))
        if key not in ranges:
            raise InputError(
                f"{kind.name}: a key must be one of {', '.join(ranges)}, each as key=value, got {shown(key)}"
            )
        if key in values:
            raise InputError(f"{kind.name}: {key} is given twice; give it once")
        try:
            values[key] = int(value) if ranges[key].integer else float(value)
        except ValueError:
            raise InputError(f"{kind.name}: {key} must be {ranges[key]}, got {shown(value)}") from None
    return kind(**values)
