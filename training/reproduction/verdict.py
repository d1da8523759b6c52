"""Whether a claim holds at this scale: paired differences between arms against their spread over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vljepa_edge.training.reproduction.experiment import FAILS, HOLDS, OPEN, SEEDS, Results, Verdict

RULE = (
    f"Arms of the same seed are compared, with {len(SEEDS)} seeds. A difference counts where its mean over seeds is "
    "larger than its spread, the largest minus the smallest difference of a seed. The claim holds where all "
    "differences count for it, it does not hold where one counts against it, and otherwise it is not decided."
)


class Judged(Protocol):
    """A part of a claim."""

    def verdict(self, results: Results) -> Verdict:
        """Of this part alone."""
        ...


@dataclass(frozen=True)
class Contrast:
    """That the arm `better` is above the arm `worse`, in the mean of some figures.

    A figure that is not finite counts as the lowest possible, so an arm that collapsed wins nothing.
    """

    better: str
    worse: str
    figures: tuple[str, ...]

    def of(self) -> str:
        """Its figures in words."""
        *rest, last = self.figures
        return f"the mean of {', '.join(rest)} and {last}" if rest else last

    def differences(self, results: Results) -> dict[int, float]:
        """By seed, of the seeds that both arms have."""
        better, worse = results.get(self.better, {}), results.get(self.worse, {})
        found = {}
        for seed in sorted(better.keys() & worse.keys()):
            mine, other = (np.mean([own[name] for name in self.figures]) for own in (better[seed], worse[seed]))
            found[seed] = float((mine if np.isfinite(mine) else 0.0) - (other if np.isfinite(other) else 0.0))
        return found

    def verdict(self, results: Results) -> Verdict:
        """Of this contrast alone: OPEN while it lacks one of SEEDS."""
        found = np.array(list(self.differences(results).values()))
        named = f"{self.better} - {self.worse}, {self.of()}"
        if len(found) < len(SEEDS):
            return Verdict(OPEN, (f"{named}: both arms have {len(found)} of the {len(SEEDS)} seeds that are needed",))
        effect, spread = float(found.mean()), float(np.ptp(found))
        said = f"{named}: {effect:+.1f} (from {found.min():+.1f} to {found.max():+.1f})"
        if abs(effect) <= spread:
            return Verdict(OPEN, (f"{said}: the effect is not larger than its spread",))
        return Verdict(HOLDS if effect > 0 else FAILS, (said,))


@dataclass(frozen=True)
class Within:
    """That of one arm the figure `above` is above the figure `below`, with the same seeds."""

    arm: str
    above: str
    below: str

    def verdict(self, results: Results) -> Verdict:
        """Of this comparison alone."""
        own = results.get(self.arm, {})
        parts = {
            f"{self.arm}, {name}": {seed: {"value": found[name]} for seed, found in own.items() if name in found}
            for name in (self.above, self.below)
        }
        over, under = parts
        return Contrast(over, under, ("value",)).verdict(parts)


def all_of(parts: Sequence[Judged]) -> Callable[[Results], Verdict]:
    """Judges a claim by RULE."""

    def judge(results: Results) -> Verdict:
        found = [part.verdict(results) for part in parts]
        outcomes = [one.outcome for one in found]
        outcome = FAILS if FAILS in outcomes else OPEN if OPEN in outcomes else HOLDS
        return Verdict(outcome, tuple(line for one in found for line in one.why))

    return judge
