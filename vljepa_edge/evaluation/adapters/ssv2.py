"""Something-Something v2, validation: 174 templates."""

from __future__ import annotations

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.classes import Classes
from vljepa_edge.evaluation.items import Classification, Labelled
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import json_list, json_object, texts_of

TREE = """\
DIR/
  labels/labels.json        {"Approaching something with your camera": "0", ...}
                            or something-something-v2-labels.json
  labels/validation.json    [{"id", "label", "template", "placeholders"}, ...]
                            or something-something-v2-validation.json
  20bn-something-something-v2/
    <id>.webm               at any depth"""


def read(layout: Layout) -> Classification:
    """The clips of the validation set; a template's class is its text without brackets."""
    labels = layout.file("labels/labels.json", "something-something-v2-labels.json", "labels.json")
    classes = Classes(json_object(labels))
    known = len(classes.labels)
    file = layout.file("labels/validation.json", "something-something-v2-validation.json", "validation.json")
    items = []
    for place, row in json_list(file):
        name, template = texts_of(file, place, row, "id", "template")
        number = classes.number(template.replace("[", "").replace("]", ""))
        if number >= known:
            raise DataError(file, f"template must be one of {labels.name}, got {template!r}", place)
        items.append(Labelled(layout.media(name, ".webm"), number))
    return Classification(classes.labels, tuple(items))


SSV2 = Benchmark(
    "ssv2", "Something-Something v2", "zero-shot classification", TREE, read,
    (paper("Table 1", "top-1", 19.3, 73.2, 9.0, 6.1, 3.8),),
    ("the label alone as the text, the model's default query, windows of the model's rate evenly over the clip",),
)  # fmt: skip
