"""EPIC-KITCHENS-100 action recognition, validation: pairs of a verb and a noun."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.classes import Classes
from vljepa_edge.evaluation.items import Classification, Labelled
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import csv_rows, seconds_of, stretch_of

TREE = """\
DIR/
  EPIC_100_validation.csv        of epic-kitchens-100-annotations, with verb_class, noun_class,
                                 start_timestamp and stop_timestamp
  EPIC_100_verb_classes.csv      id, key, ...
  EPIC_100_noun_classes_v2.csv   id, key, ..., or EPIC_100_noun_classes.csv
  <participant>/videos/
    <video_id>.MP4               at any depth"""


def read(layout: Layout) -> Classification:
    """All segments of the validation set, and the pairs that occur in it as classes."""
    pairs = Pairs(layout)
    file = layout.file("EPIC_100_validation.csv")
    classes, items = Classes(), []
    columns = ("video_id", "start_timestamp", "stop_timestamp", "verb_class", "noun_class")
    for place, row in csv_rows(file, *columns):
        number = classes.number(pairs.text(file, place, row))
        times = [seconds_of(file, place, row[name]) for name in ("start_timestamp", "stop_timestamp")]
        start, end = stretch_of(file, place, times)
        items.append(Labelled(layout.media(row["video_id"], ".MP4", start, end), number))
    return Classification(classes.labels, tuple(items))


class Pairs:
    """The verbs and nouns of the class lists, and what a pair of them is called."""

    def __init__(self, layout: Layout) -> None:
        self._verbs = _names(layout, "EPIC_100_verb_classes.csv")
        self._nouns = _names(layout, "EPIC_100_noun_classes_v2.csv", "EPIC_100_noun_classes.csv")

    def text(self, file: Path, place: str, row: Mapping[str, str]) -> str:
        """Verb and noun of a row's `verb_class` and `noun_class`. Raises DataError for one that is in no list."""
        verb, noun = row["verb_class"], row["noun_class"]
        if verb not in self._verbs or noun not in self._nouns:
            raise DataError(file, f"has the unknown class {verb}, {noun}", place)
        return f"{self._verbs[verb]} {self._nouns[noun]}"


def _names(layout: Layout, *files: str) -> dict[str, str]:
    """Class number, as text -> its key as people say it: "turn-on" is "turn on", "board:chopping" "chopping board"."""
    return {
        row["id"]: " ".join(reversed(row["key"].split(":"))).replace("-", " ")
        for _, row in csv_rows(layout.file(*files), "id", "key")
    }


EPIC_KITCHENS_100 = Benchmark(
    "epic_kitchens_100", "EPIC-KITCHENS-100", "zero-shot classification", TREE, read,
    (paper("Table 1", "top-1", 21.8, 44.6, 6.4, 6.1, 3.7),),
    (
        "the classes are the pairs of verb and noun that occur in the validation set (the paper's list is undisclosed)",
        'a class\'s text is "verb noun", of the keys of the class lists',
    ),
)  # fmt: skip
