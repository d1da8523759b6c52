"""Ego-Exo4D fine-grained keysteps, validation, seen from the wearer."""

from __future__ import annotations

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.classes import Classes
from vljepa_edge.evaluation.items import Classification, Labelled
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import csv_rows, field_of, json_object, texts_of

TREE = """\
DIR/                             what `egoexo --parts annotations keystep_benchmark/clips_448p` gives
  keystep_benchmark/             or DIR itself
    keystep_segment_val.json     {"segments": [{"ego_segment_name", "label_id", ...}, ...]}
    label_mapping.csv            label_id, step_unique_id, step_name, scenario_name
    clips_448p/                  or beside the JSON
      val/<take_name>/start<s>_end<s>_<cam>.mp4"""


def read(layout: Layout) -> Classification:
    """The ego clips of all segments."""
    mapping = layout.file("keystep_benchmark/label_mapping.csv", "label_mapping.csv")
    steps = {row["label_id"]: row["step_name"] for _, row in csv_rows(mapping, "label_id", "step_name")}
    classes = Classes(steps.values())
    file = layout.file("keystep_benchmark/keystep_segment_val.json", "keystep_segment_val.json")
    items = []
    segments = json_object(file).get("segments")
    if not isinstance(segments, list):
        raise DataError(file, 'must have a list of "segments"')
    for number, row in enumerate(segments):
        place = f"segment {number}"
        (name,) = texts_of(file, place, row, "ego_segment_name")
        label = str(field_of(file, place, row, "label_id"))
        if label not in steps:
            raise DataError(file, f"label_id must be one of {mapping.name}, got {label}", place)
        media = layout.at(name, "keystep_benchmark/clips_448p", "keystep_benchmark", "clips_448p", ".")
        items.append(Labelled(media, classes.number(steps[label])))
    return Classification(classes.labels, tuple(items))


EGOEXO4D = Benchmark(
    "egoexo4d", "Ego-Exo4D keysteps", "zero-shot classification", TREE, read,
    (paper("Table 1", "top-1", 33.2, 68.1, 13.6, 5.6, 2.6),),
    (
        "the ego view, as the official benchmark tests",
        "keysteps of the same name in two scenarios are one class: no text tells them apart",
        "the layout is that of the documentation; the annotations need a licence and were not seen",
    ),
)  # fmt: skip
