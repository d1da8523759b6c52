"""Kinetics-400, validation."""

from __future__ import annotations

from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.classes import Classes
from vljepa_edge.evaluation.items import Classification, Labelled
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import csv_rows, number_of, texts_of

TREE = """\
DIR/
  val.csv             label, youtube_id, time_start, time_end, ...; or kinetics-400_val.csv, or in annotations/
  val/
    <youtube_id>_<time_start>_<time_end>.mp4, times of six digits; at any depth"""


def read(layout: Layout) -> Classification:
    """The clips of the validation set; the classes are the labels of the table, in the order of the alphabet."""
    file = layout.file("val.csv", "kinetics-400_val.csv", "kinetics_400_val.csv", "annotations/val.csv")
    rows = list(csv_rows(file, "label", "youtube_id", "time_start", "time_end"))
    for place, row in rows:
        texts_of(file, place, row, "label", "youtube_id")
    classes = Classes(sorted({row["label"] for _, row in rows}))
    items = []
    for place, row in rows:
        start, end = (int(number_of(file, place, row[name])) for name in ("time_start", "time_end"))
        items.append(Labelled(layout.media(f"{row['youtube_id']}_{start:06d}_{end:06d}"), classes.number(row["label"])))
    return Classification(classes.labels, tuple(items))


KINETICS_400 = Benchmark(
    "kinetics400", "Kinetics-400", "zero-shot classification", TREE, read,
    (paper("Table 1", "top-1", 64.8, 84.8, 76.4, 68.0, 58.3),),
    (
        "the label alone as the text (Perception Encoder takes the mean of 28 templates)",
        "clips that are gone from YouTube are left out, so the denominator is that of your copy",
    ),
)  # fmt: skip
