"""CrossTask, the 360 validation videos: which step a segment shows, and which task a video."""

from __future__ import annotations

from pathlib import Path

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.classes import Classes
from vljepa_edge.evaluation.items import Classification, Labelled
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import csv_lists, number_of, stretch_of, text_of

TREE = """\
DIR/
  crosstask_release/               or DIR itself
    tasks_primary.txt              cards of five lines: id, name, URL, number of steps, steps
    tasks_related.txt
    videos_val.csv                 task, youtube_id, URL; no header
    annotations/
      <task>_<youtube_id>.csv      step (from 1), start, end; no header
  videos/
    <youtube_id>.mp4               at any depth"""
Tasks = dict[str, tuple[str, list[str]]]


def read_steps(layout: Layout) -> Classification:
    """The annotated segments; the classes are the distinct steps of the primary tasks."""
    tasks = _tasks(layout, "tasks_primary.txt")
    classes = Classes(step for _, steps in tasks.values() for step in steps)
    items = []
    for task, name in _videos(layout, tasks):
        file = _file(layout, f"annotations/{task}_{name}.csv")
        for place, (step, start, end) in csv_lists(file, 3):
            number, steps = int(number_of(file, place, step)), tasks[task][1]
            if not 1 <= number <= len(steps):
                raise DataError(file, f"step must be 1 to {len(steps)}, got {step}", place)
            media = layout.media(name, ".mp4", *stretch_of(file, place, [start, end]))
            items.append(Labelled(media, classes.number(steps[number - 1])))
    return Classification(classes.labels, tuple(items))


def read_tasks(layout: Layout) -> Classification:
    """The complete videos; the classes are the primary and the related tasks."""
    primary = _tasks(layout, "tasks_primary.txt")
    related = _tasks(layout, "tasks_related.txt")
    classes = Classes(name for name, _ in (*primary.values(), *related.values()))
    items = [Labelled(layout.media(name), classes.number(primary[task][0])) for task, name in _videos(layout, primary)]
    return Classification(classes.labels, tuple(items))


def _file(layout: Layout, name: str) -> Path:
    return layout.file(f"crosstask_release/{name}", name)


def _tasks(layout: Layout, name: str) -> Tasks:
    """By id a task's name and steps."""
    file = _file(layout, name)
    found: Tasks = {}
    for number, card in enumerate(text_of(file).replace("\r", "").strip().split("\n\n")):
        lines = card.strip().split("\n")
        steps = lines[-1].split(",")
        if len(lines) != 5 or lines[3].strip() != str(len(steps)):
            raise DataError(file, "must have five lines: id, name, URL, number of steps, steps", f"card {number}")
        found[lines[0].strip()] = (lines[1].strip(), [step.strip() for step in steps])
    return found


def _videos(layout: Layout, tasks: Tasks) -> list[tuple[str, str]]:
    """Task and name of each validation video."""
    file = _file(layout, "videos_val.csv")
    found = []
    for place, (task, name, _) in csv_lists(file, 3):
        if task not in tasks:
            raise DataError(file, f"task must be a primary one, got {task}", place)
        found.append((task, name))
    return found


CROSSTASK_STEPS = Benchmark(
    "crosstask_steps", "CrossTask, step recognition", "zero-shot classification", TREE, read_steps,
    (paper("Table 1", "top-1", 64.5, 79.8, 40.3, 35.1, 20.8),),
    ("the 360 validation videos; 105 distinct steps (which videos and classes the paper takes is undisclosed)",),
)  # fmt: skip
CROSSTASK_TASKS = Benchmark(
    "crosstask_tasks", "CrossTask, task recognition", "zero-shot classification", TREE, read_tasks,
    (paper("Table 1", "top-1", 89.6, 96.2, 97.2, 90.8, 78.5),),
    ("the 360 validation videos, complete; 83 tasks (which videos and classes the paper takes is undisclosed)",),
)  # fmt: skip
