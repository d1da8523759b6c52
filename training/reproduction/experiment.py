"""What an experiment of the paper in miniature is: arms, the figures of each, and a claim that they bear out or not.

An experiment is a module of this package with one `Experiment`, named in `registry`. Everything heavy (torch) is
imported inside of `make`, so that experiments can be listed at once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS = (0, 1, 2)
HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")

Report = Callable[[str, int, int], None]
"""What is being done, how many are done, how many there are."""
Seeds = Mapping[int, Mapping[str, float]]
"""By seed the figures of an arm."""
Results = Mapping[str, Seeds]
"""By arm what there is of it."""


def named(recipe: Mapping[str, Any]) -> str:
    """A name for what is made by a recipe, of JSON values: another recipe has another name."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Setting:
    """Where one arm works with one seed.

    data: the folder that `vljepa data fetch everyday` filled. shared: what arms have in common, such as features.
    folder: this arm's own for this seed; what an interrupted `make` left there is there again.
    """

    data: Path
    shared: Path
    folder: Path
    seed: int
    report: Report


@dataclass(frozen=True)
class Arm:
    """One row of an experiment's table.

    name: also its folder's; an arm of the same name in two experiments is the same arm, and is made once. title: in
    the table. recipe: of the folder of data, all that decides the figures but the seed, as JSON values. make: its
    figures by name; it goes on where it was interrupted. paper: the paper's figures of this row.
    """

    name: str
    title: str
    recipe: Callable[[Path], Mapping[str, Any]]
    make: Callable[[Setting], Mapping[str, float]]
    paper: Mapping[str, float] = field(default_factory=dict)

    def digest(self, data: Path) -> str:
        """Names the recipe: figures of another one are not this arm's."""
        return named({"arm": self.name, "recipe": self.recipe(data)})


@dataclass(frozen=True)
class Verdict:
    """outcome: HOLDS, FAILS or OPEN. why: the figures that decide it, a line each."""

    outcome: str
    why: tuple[str, ...]

    def line(self) -> str:
        """For people."""
        return f"The claim {self.outcome} at this scale." if self.outcome != OPEN else "Not decided at this scale."


@dataclass(frozen=True)
class Experiment:
    """A claim of the paper, and what it is judged by.

    figures: columns of the table, by name what each is. rule: how `judge` decides, in words. rule_set: when it was
    written, which should be before anything was run. notes: what differs from the paper. tables: files that
    the folder of data must have. draw: paints the picture, `plot.bars` unless given.
    """

    name: str
    section: str
    claim: str
    rule: str
    figures: Mapping[str, str]
    arms: Sequence[Arm]
    judge: Callable[[Results], Verdict]
    notes: Sequence[str] = ()
    tables: Sequence[str] = ("coco-train.jsonl", "coco-val.jsonl")
    draw: Callable[[Figure, Experiment, Results], None] | None = None
    rule_set: str = "before any run"

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        wrong = [name for name in (self.name, *names) if not _NAME.fullmatch(name)]
        if wrong or len(set(names)) < len(names):
            raise InputError(f"names of an experiment and its arms must differ and be of {_NAME.pattern}, got {names}")

    def chosen(self, names: Sequence[str]) -> list[Arm]:
        """The arms of these names, in the table's order; all where there are none. Raises InputError for an unknown."""
        known = [arm.name for arm in self.arms]
        for name in names:
            if name not in known:
                raise InputError(f"an arm of {self.name} must be one of {', '.join(known)}, got {name!r}")
        return [arm for arm in self.arms if not names or arm.name in names]


def column(seeds: Seeds, figure: str) -> NDArray[np.float64]:
    """One figure of an arm over its seeds, in their order; those that lack it are left out."""
    return np.array([seeds[seed][figure] for seed in sorted(seeds) if figure in seeds[seed]], np.float64)
