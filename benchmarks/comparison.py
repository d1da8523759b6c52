"""What a stage times and reports: ours and its peers, and the limit that bounds ours.

Two drivers run the same cases: `python -m benchmarks` all of them, interleaved, and `pytest benchmarks` ours alone, to
compare them with an earlier run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.interleave import Case, Samples


@dataclass(frozen=True)
class Limit:
    """The least time, milliseconds, and what sets it."""

    ms: float
    what: str


@dataclass(frozen=True)
class Comparison:
    """`samples[0]` is ours. `notes`: lines for the document, and peers that were left out and why.

    `figures`: single numbers that were measured on the way, for the bars.
    """

    title: str
    samples: tuple[Samples, ...]
    limit: Limit | None = None
    notes: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def ours(self) -> Samples:
        return self.samples[0]

    def share(self) -> float | None:
        """How much of the limit ours reaches: 1 is all of it."""
        return None if self.limit is None else self.limit.ms / self.ours.median


@dataclass(frozen=True)
class Stage:
    """Ways to do one thing, ready to be run; `cases[0]` is ours.

    tell: makes the comparison of the samples of all cases. share: of the time of one comparison that they take.
    """

    title: str
    cases: Sequence[Case]
    tell: Callable[[tuple[Samples, ...]], Comparison]
    share: float = 1.0
