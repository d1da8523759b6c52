"""EPIC-KITCHENS-100 action recognition, validation: pairs of a verb and a noun."""

from __future__ import annotations

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.classes import Classes
from vljepa_edge.evaluation.items import Classification, Labelled
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import csv_rows, seconds_of

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
    verbs = names(layout, "EPIC_100_verb_classes.csv")
    nouns = names(layout, "EPIC_100_noun_classes_v2.csv", "EPIC_100_noun_classes.csv")
    file = layout.file("EPIC_100_validation.csv")
    classes, items = Classes(), []
    columns = ("video_id", "start_timestamp", "stop_timestamp", "verb_class", "noun_class")
    for place, row in csv_rows(file, *columns):
        if row["verb_class"] not in verbs or row["noun_class"] not in nouns:
            raise DataError(file, f"has the unknown class {row['verb_class']}, {row['noun_class']}", place)
        start, end = (seconds_of(file, place, row[name]) for name in ("start_timestamp", "stop_timestamp"))
        media = layout.media(row["video_id"], ".MP4", start, end)
        items.append(Labelled(media, classes.number(f"{verbs[row['verb_class']]} {nouns[row['noun_class']]}")))
    return Classification(classes.labels, tuple(items))


def names(layout: Layout, *files: str) -> dict[str, str]:
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
