"""What a stage reports: ours and its peers, timed in the same rounds, and the limit that bounds ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.interleave import Samples


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
