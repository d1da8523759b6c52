"""Watching: labels that come into the picture and leave it, from one prediction a hop for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from vljepa_edge import _core
from vljepa_edge.errors import InputError
from vljepa_edge.perception.labels import MOST_LABELS
from vljepa_edge.streaming.hysteresis import Hysteresis
from vljepa_edge.support.arguments import as_list, as_number, shown

if TYPE_CHECKING:
    from vljepa_edge.perception.labels import Labels
    from vljepa_edge.perception.perception import Perception

WatchLike = Iterable[str] | Mapping[str, float | str | Iterable[str] | EllipsisType | None]
"""What to watch for: labels, or a mapping from each to the probability at which it appears, or to the text or texts
that stand for it; None or ... where both are chosen inside."""
HOLD = 0.5


class Sighting(NamedTuple):
    """A label that appeared (`end` None) or is gone.

    query        what the predictor was asked
    number       counts the sightings of a label from 0
    start, end   seconds
    probability  the largest so far
    embedding    [E], the newest prediction
    """

    label: str
    query: str
    number: int
    start: float
    end: float | None
    probability: float
    embedding: NDArray[np.float32]


class Detector(Protocol):
    """What says how likely each of some labels is, for what is given of a window."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def query(self) -> str: ...

    def probabilities(self, row: NDArray[np.float32], /) -> NDArray[Any]: ...


D = TypeVar("D", bound=Detector)


class Watch(Generic[D]):
    """Labels that one stream watches for. It reads no clock. Not for use from several threads at once.

    A hop sees its complete window, so a label is above its threshold from when it fills about half of it to when it
    fills less: a sighting starts and ends in the middle of the windows of the first and the last hop at which it is
    seen. One that is still seen when the stream ends, ends with the last frame.
    """

    def __init__(self, labels: D, policies: Sequence[Hysteresis]) -> None:
        """policies: one for each label, in their order."""
        self.labels = labels
        self.policies = tuple(policies)
        self._watch = _core.Watch([(policy.begin, policy.end, policy.hold) for policy in policies])
        self._newest: NDArray[np.float32] | None = None

    def push(self, embedding: NDArray[np.float32], time: float, since: float) -> list[Sighting]:
        """Tell of a hop: its prediction [E] for the labels' query, its time, and that of its window's oldest frame.
        What appeared with it, and what is gone."""
        self._newest = embedding
        return self._sightings(self._watch.push(self.labels.probabilities(embedding), time, since))

    @property
    def seen(self) -> dict[str, float]:
        """What is seen now, and its largest probability so far."""
        return {self.labels.names[which]: peak for which, peak in self._watch.seen}

    def end(self, last: float) -> list[Sighting]:
        """The stream ended with a frame at `last`: what is seen is gone."""
        return self._sightings(self._watch.end(last))

    def restart_clock(self) -> None:
        """The next hop may have any time. To be called after end()."""
        self._watch.restart_clock()

    def reset(self) -> None:
        """Forget all but the labels."""
        self._watch.reset()
        self._newest = None

    def _sightings(self, told: list[_core.Seen]) -> list[Sighting]:
        assert self._newest is not None or not told  # nothing is seen without a hop
        newest: Any = self._newest
        return [
            Sighting(self.labels.names[which], self.labels.query, number, start, end, peak, newest)
            for which, number, start, end, peak in told
        ]


def read_watch(model: Perception, watched: WatchLike, hold: float) -> Watch[Labels] | None:
    """A watch as a caller describes it; None for no labels.

    Raises InputError for labels that Model.labels would refuse, a threshold that is no probability above 0, and a
    `hold` that is no number of seconds, 0 to 86400.
    """
    default = Hysteresis(hold=as_number(hold, "hold"))
    if not isinstance(watched, Mapping):
        names = as_list(watched, "labels", "texts", MOST_LABELS)
        return Watch(model.labels(names), [default] * len(names)) if names else None
    if not watched:
        return None
    thresholds = {name: value for name, value in watched.items() if isinstance(value, Real)}
    labels = model.labels({name: None if isinstance(value, Real) else value for name, value in watched.items()})
    return Watch(labels, [_policy(name, thresholds.get(name), default) for name in labels.names])


def _policy(name: str, threshold: object, default: Hysteresis) -> Hysteresis:
    if threshold is None:
        return default
    what = f"the threshold of {shown(name)}"
    begin = as_number(threshold, what)
    if not 0 < begin <= 1:
        raise InputError(f"{what} must be a probability, above 0 and at most 1, got {shown(threshold)}")
    return default.beginning_at(begin)
