"""One benchmark on one model: read, select, measure, and put beside what the paper reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vljepa_edge.errors import DataError, LayoutError
from vljepa_edge.evaluation.benchmark import Benchmark
from vljepa_edge.evaluation.cached import Cached, Report
from vljepa_edge.evaluation.embedder import Embedder
from vljepa_edge.evaluation.items import Questions, Task, Triplets, media_of
from vljepa_edge.evaluation.measure import measure
from vljepa_edge.evaluation.published import ITEMS
from vljepa_edge.evaluation.selection import first, shuffled, there
from vljepa_edge.evaluation.telling import check_telling


@dataclass(frozen=True)
class Result:
    """figures: per cent, by name, the most important one first. items: how many were evaluated. missing: how many were
    left out because a file is not there. unread: how many videos and images, or stretches of them, are there and could
    not be read, which counts as wrong. total: how many items the benchmark has, as it was published. missing_files,
    unread_files: the files that these are about."""

    benchmark: Benchmark
    figures: dict[str, float]
    items: int
    missing: int
    unread: int
    total: int
    missing_files: Sequence[Path]
    unread_files: Sequence[Path]

    @property
    def complete(self) -> bool:
        """Whether these are all items of the benchmark."""
        return self.items == self.total

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        papers = [{"table": p.table, "figure": p.figure, "values": dict(p.values)} for p in self.benchmark.papers]
        return {
            "benchmark": self.benchmark.name, "figures": self.figures, "items": self.items, "missing": self.missing,
            "unread": self.unread, "total": self.total, "complete": self.complete, "paper": papers,
            "ours": list(self.benchmark.ours),
            "missing_files": [str(file) for file in self.missing_files],
            "unread_files": [str(file) for file in self.unread_files],
        }  # fmt: skip


@dataclass(frozen=True)
class Selection:
    """What of a benchmark is evaluated. missing: how many items lack a file. missing_files: which files those are.
    total: how many items it has, as it was published."""

    benchmark: Benchmark
    task: Task
    missing: int
    missing_files: Sequence[Path]
    total: int

    def measure(self, embedder: Embedder, report: Report = lambda what, done, total: None) -> Result:
        """Its figures. What is embedded is kept in the cache, so a run that was stopped goes on."""
        cached = Cached(embedder, report)
        figures = measure(self.task, cached)
        count = len(self.task.items)
        unread = sorted({media.path for seen in cached.unread for media in media_of(seen)})
        return Result(
            self.benchmark, figures, count, self.missing, len(cached.unread), self.total, self.missing_files,
            unread,
        )  # fmt: skip


def select(benchmark: Benchmark, data: Path, *, limit: int | None = None, query: str | None = None) -> Selection:
    """The items of a benchmark whose files lie in `data`.

    limit: how many at most, for a first look. query: what is asked of the videos, instead of what the benchmark or the
    model asks; of no use for questions.

    Raises LayoutError for a folder that is not laid out as the benchmark's `tree`, or without a single one of its
    videos, DataError for annotations that can't be read, and InputError where what is there tells nothing of a model:
    one class, say, or one video.
    """
    task = benchmark.task(data)
    if query is not None and not isinstance(task, Questions | Triplets):
        task = replace(task, query=query)
    if not task.items:
        raise DataError(data, f"must have at least one {'row' if benchmark.is_file else 'item'}, got none")
    found, missing_files = there(shuffled(task))
    if not found.items:
        where = next((item.seen()[0].path for item in task.items), data)
        why = f"holds none of the files of the {len(task.items)} items, e.g. {where}"
        raise LayoutError(data, why, benchmark.tree)
    chosen = first(found, limit)
    check_telling(chosen)
    missing = len(task.items) - len(found.items)
    return Selection(benchmark, chosen, missing, missing_files, ITEMS.get(benchmark.name, len(task.items)))
