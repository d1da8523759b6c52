"""GQA, testdev balanced."""

from __future__ import annotations

from vljepa_edge.evaluation.benchmark import Benchmark, Paper
from vljepa_edge.evaluation.items import Question, Questions
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import json_object, texts_of

TREE = """\
DIR/
  questions1.2/                        or DIR itself, or questions/
    testdev_balanced_questions.json    {"<question id>": {"question", "imageId", "answer", ...}}
  images/
    <imageId>.jpg                      at any depth"""


def read(layout: Layout) -> Questions:
    """All questions of the file; the candidates of each are the answers that occur in it."""
    name = "testdev_balanced_questions.json"
    file = layout.file(f"questions1.2/{name}", f"questions/{name}", name)
    rows = []
    for key, row in json_object(file).items():
        question, image, answer = texts_of(file, f"question {key}", row, "question", "imageId", "answer")
        rows.append((layout.media(image, ".jpg"), question, answer))
    answers = tuple(sorted({answer for _, _, answer in rows}))
    places = {answer: place for place, answer in enumerate(answers)}
    return Questions(tuple(Question(image, text, answers, places[answer]) for image, text, answer in rows))


GQA = Benchmark(
    "gqa", "GQA, testdev balanced", "discriminative VQA", TREE, read,
    (Paper("Table 2", "accuracy", {"VL-JEPA SFT": 61.5, "InternVL-Chat 13B": 66.6, "BLIP-2 2.7B": 33.9}),),
    ("the candidates are all answers that occur in the split (the paper's list is undisclosed)",),
)  # fmt: skip
