"""COIN, testing videos: which step a segment shows, and which task a video."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.classes import Classes
from vljepa_edge.evaluation.items import Classification, Labelled
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import field_of, json_object, stretch_of, texts_of

TESTING = ("testing", "validation")  # the files say the first, their README the second
TREE = """\
DIR/
  COIN.json          {"database": {"<youtube_id>": {"class", "subset", "start", "end",
                     "annotation": [{"id", "segment": [start, end], "label"}, ...]}}}; or coin.json
  videos/
    <youtube_id>.mp4 at any depth"""
_WORDS = re.compile(r"TV|CDs?|SIM|NBA|SSD|RJ45|PC|[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


def read_steps(layout: Layout) -> Classification:
    """The segments of the testing videos; the classes are the distinct labels of all videos."""
    file, classes, items = file_of(layout), Classes(), []
    for place, name, entry in videos(file):
        for number, step in enumerate(steps(file, place, entry)):
            (label,) = texts_of(file, f"{place}, step {number}", step, "label")
            label_number = classes.number(label)
            if entry["subset"] in TESTING:
                stretch = stretch_of(file, f"{place}, step {number}", field_of(file, place, step, "segment"))
                items.append(Labelled(layout.media(name, ".mp4", *stretch), label_number))
    return Classification(classes.labels, tuple(items))


def read_tasks(layout: Layout) -> Classification:
    """The testing videos; the classes are the tasks of all videos."""
    file, classes, items = file_of(layout), Classes(), []
    for place, name, entry in videos(file):
        (task,) = texts_of(file, place, entry, "class")
        number = classes.number(task_text(task))
        if entry["subset"] in TESTING:
            items.append(Labelled(layout.media(name), number))
    return Classification(classes.labels, tuple(items))


def file_of(layout: Layout) -> Path:
    """The annotations."""
    return layout.file("COIN.json", "coin.json", "annotations/COIN.json")


def videos(file: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The place, the name and the entry of each video. Raises DataError."""
    database = json_object(file).get("database")
    if not isinstance(database, dict):
        raise DataError(file, 'must have an object "database"')
    for name, entry in database.items():
        field_of(file, f"video {name}", entry, "subset")
        yield f"video {name}", name, entry


def steps(file: Path, place: str, entry: dict[str, Any]) -> list[Any]:
    """The steps of a video in their order."""
    found = field_of(file, place, entry, "annotation")
    if not isinstance(found, list):
        raise DataError(file, f"annotation must be a list, got {type(found).__name__}", place)
    return found


def task_text(name: str) -> str:
    """A task's name as people write it: "ReplaceSIMCard" is "replace SIM card"."""
    words = _WORDS.findall(name)
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)


_OURS = (
    "the testing videos of COIN.json",
    "windows of the model's rate evenly over the stretch; the default query",
)
COIN_STEPS = Benchmark(
    "coin_steps", "COIN, step recognition", "zero-shot classification", TREE, read_steps,
    (paper("Table 1", "top-1", 47.4, 66.4, 29.0, 26.0, 14.7),),
    (*_OURS, "steps of the same label in two tasks are one class: no text tells them apart"),
)  # fmt: skip
COIN_TASKS = Benchmark(
    "coin_tasks", "COIN, task recognition", "zero-shot classification", TREE, read_tasks,
    (paper("Table 1", "top-1", 79.4, 90.3, 86.0, 80.4, 63.5),),
    (*_OURS, "the complete video; task names are split into words"),
)  # fmt: skip
