"""POPE on MS-COCO: is a thing there? Three files, by how the absent things were chosen."""

from __future__ import annotations

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.benchmark import Benchmark, Paper
from vljepa_edge.evaluation.items import Question, Questions
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import json_lines, texts_of

SETTINGS = ("random", "popular", "adversarial")
YES_NO = ("yes", "no")
TREE = """\
DIR/
  output/coco/                   of the repository RUCAIBox/POPE, or DIR itself
    coco_pope_random.json        a line each: {"question_id", "image", "text", "label"}
    coco_pope_popular.json
    coco_pope_adversarial.json
  val2014/
    COCO_val2014_<number>.jpg    at any depth"""


def read(layout: Layout) -> Questions:
    """The questions of the three files, with yes and no as candidates."""
    items = []
    for setting in SETTINGS:
        name = f"coco_pope_{setting}.json"
        file = layout.file(f"output/coco/{name}", name)
        for place, row in json_lines(file):
            image, text, label = texts_of(file, place, row, "image", "text", "label")
            if label not in YES_NO:
                raise DataError(file, f"label must be yes or no, got {label!r}", place)
            media = layout.media(image.removesuffix(".jpg"), ".jpg")
            items.append(Question(media, text, YES_NO, YES_NO.index(label), setting))
    return Questions(tuple(items))


POPE = Benchmark(
    "pope", "POPE, MS-COCO", "discriminative VQA", TREE, read,
    (Paper("Table 2", "mean accuracy", {"VL-JEPA SFT": 85.7, "SmolVLM-2B": 87.5, "LLaVA-1.5-7B": 85.9}),),
    (
        'the candidates are "yes" and "no"',
        "some figures of others beside the paper's are the mean F1 rather than accuracy; both are given",
    ),
)  # fmt: skip
