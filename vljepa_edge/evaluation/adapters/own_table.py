"""Any user's own table: clips with labels, videos with texts, or questions about images and videos."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.benchmark import Benchmark
from vljepa_edge.evaluation.classes import Classes, folded
from vljepa_edge.evaluation.gathered import each_text
from vljepa_edge.evaluation.items import (
    Captioning,
    Classification,
    Labelled,
    Media,
    Question,
    Questions,
    Retrieval,
    Task,
)
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import csv_rows, stretch_of, texts_of
from vljepa_edge.support.install import require

_MEDIA = "path (from the table's folder), and for a stretch of a video start and end in seconds"


def read_classification(layout: Layout) -> Classification:
    """A row a clip; the classes are the labels that occur."""
    classes, items = Classes(), []
    for place, row in csv_rows(layout.data, "path", "label"):
        (label,) = texts_of(layout.data, place, row, "label")
        items.append(Labelled(_media(layout.data, place, row), classes.number(label)))
    return Classification(classes.labels, tuple(items))


def read_retrieval(layout: Layout) -> Retrieval:
    """A row a text; rows of the same clip are texts of one video."""
    texts: dict[Media, list[str]] = {}
    for place, row in csv_rows(layout.data, "path", "text"):
        texts.setdefault(_media(layout.data, place, row), []).extend(texts_of(layout.data, place, row, "text"))
    return each_text(texts)


def read_captioning(layout: Layout) -> Captioning:
    """As for retrieval; the texts of a clip are its references. Raises EngineError where CIDEr can't be computed."""
    require(["pycocoevalcap"], "eval")
    return Captioning(read_retrieval(layout).items)


def read_questions(layout: Layout) -> Questions:
    """A row a question; its candidates are parted by |, and the answer is one of them."""
    items = []
    for place, row in csv_rows(layout.data, "path", "question", "answer", "candidates"):
        question, answer, given = texts_of(layout.data, place, row, "question", "answer", "candidates")
        candidates = tuple(name.strip() for name in given.split("|"))
        known = [folded(name) for name in candidates]
        if folded(answer) not in known or len({*known}) != len(known) or "" in known or len(known) < 2:
            raise DataError(layout.data, "candidates must differ, be two or more, and the answer one of them", place)
        items.append(Question(_media(layout.data, place, row), question, candidates, known.index(folded(answer))))
    return Questions(tuple(items))


def _media(table: Path, place: str, row: dict[str, str]) -> Media:
    (given,) = texts_of(table, place, row, "path")
    path = Path(os.path.abspath(table.parent / given))  # one file, however it is written; links keep their names
    times = {name: row.get(name) or "" for name in ("start", "end")}
    lacking = [name for name, time in times.items() if not time.strip()]
    if len(lacking) == 2:
        return Media(path)
    if lacking:
        raise DataError(table, f"must have both start and end, or neither; {lacking[0]} is empty", place)
    return Media(path, *stretch_of(table, place, [*times.values()]))


def _own(name: str, protocol: str, columns: str, read: Callable[[Layout], Task]) -> Benchmark:
    tree = f"FILE, a CSV with the columns\n  {_MEDIA}\n  {columns}"
    return Benchmark(name, "a table of your own", protocol, tree, read, is_file=True)


CLASSIFICATION = _own("classification", "zero-shot classification", "label", read_classification)
RETRIEVAL = _own(
    "retrieval", "text-to-video retrieval", "text; several rows of one path are several texts of it", read_retrieval
)
CAPTIONING = _own(
    "captioning", "captioning (CIDEr)", "text; several rows of one path are several references", read_captioning
)
QUESTIONS = _own(
    "questions",
    "discriminative VQA",
    "question, answer, candidates (parted by |, the answer among them)",
    read_questions,
)
