"""What is known of a benchmark: its files, its protocol, what the paper reports, and what the paper leaves open."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.items import Task
from vljepa_edge.evaluation.layout import Layout

MODELS = ("VL-JEPA Base", "VL-JEPA SFT", "PE-Core G", "SigLIP2 g", "CLIP L")
"""Of the paper's tables 1 and 6: its own two, and the largest of each other family."""


@dataclass(frozen=True)
class Paper:
    """A figure of the paper: where it stands, what it is called here, and each model's value, in per cent."""

    table: str
    figure: str
    values: Mapping[str, float]


def paper(table: str, figure: str, *values: float) -> Paper:
    """A figure of Table 1 or 6, of the models of `MODELS` in their order, or the first of them."""
    return Paper(table, figure, dict(zip(MODELS, values, strict=False)))


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    tree: what its folder holds, the published layout. read: its annotations -> a task; it raises DataError and opens
    no video. protocol: as `--list` names it. papers: what the paper reports. ours: choices of the protocol that the
    paper doesn't state. is_file: a table of one's own, given by --csv instead of a folder.
    """

    name: str
    title: str
    protocol: str
    tree: str
    read: Callable[[Layout], Task]
    papers: tuple[Paper, ...] = ()
    ours: tuple[str, ...] = ()
    is_file: bool = False

    def task(self, data: Path) -> Task:
        """The task of a folder (or table). Raises DataError for one that is not there or not laid out so."""
        if not os.path.exists(data):
            raise DataError(data, "no such file" if self.is_file else "no such folder")
        if os.path.isdir(data) == self.is_file:
            raise DataError(data, "a folder, not a file" if self.is_file else "a file, not a folder")
        return self.read(Layout(data, self.tree))
