"""CLEVR, validation: 28 answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.benchmark import Benchmark
from vljepa_edge.evaluation.items import Question, Questions
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import json_object, texts_of
from vljepa_edge.support.arguments import shown

ANSWERS = (
    *("yes", "no"), *(str(number) for number in range(11)), *("cube", "cylinder", "sphere", "metal", "rubber"),
    *("large", "small", "blue", "brown", "cyan", "gray", "green", "purple", "red", "yellow"),
)  # fmt: skip
TREE = """\
DIR/                             CLEVR_v1.0
  questions/
    CLEVR_val_questions.json     {"questions": [{"image_filename", "question", "answer", "program"}, ...]}
  images/val/
    CLEVR_val_<number>.png       at any depth"""


def read(layout: Layout) -> Questions:
    """All questions, by what the last step of their program does."""
    file = layout.file("questions/CLEVR_val_questions.json", "CLEVR_val_questions.json")
    rows = json_object(file).get("questions")
    if not isinstance(rows, list):
        raise DataError(file, 'must have a list "questions"')
    items = []
    for number, row in enumerate(rows):
        place = f"question {number}"
        image, text, answer = texts_of(file, place, row, "image_filename", "question", "answer")
        if answer not in ANSWERS:
            raise DataError(file, f"answer must be one of the 28, got {answer!r}", place)
        media = layout.media(image.removesuffix(".png"), ".png")
        items.append(Question(media, text, ANSWERS, ANSWERS.index(answer), _kind(file, place, row)))
    return Questions(tuple(items))


def _kind(file: Path, place: str, row: dict[str, Any]) -> str:
    program = row.get("program") or [{}]
    if not isinstance(program, list) or not isinstance(program[-1], dict):
        raise DataError(file, f"program must be a list of objects, got {shown(program)}", place)
    last = str(program[-1].get("function", "") or program[-1].get("type", ""))
    if last in ("equal_integer", "less_than", "greater_than"):
        return "compare integer"
    kind = last.split("_")[0].replace("equal", "compare")
    return f"{kind} attribute" if kind in ("query", "compare") else kind


CLEVR = Benchmark(
    "clevr", "CLEVR, validation", "discriminative VQA", TREE, read, (),
    ("the 28 answers of the data set as candidates; the paper gives only a mean with other sets (Table 7)",),
)
