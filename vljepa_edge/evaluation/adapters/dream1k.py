"""DREAM-1K: a detailed description for each video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.gathered import each_text
from vljepa_edge.evaluation.items import Media, Retrieval
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import field_of, json_lines, list_of, texts_of

TREE = """\
DIR/
  DREAM-1k.jsonl     {"vid", "messages": [{"role", "content": [{"reference", ...}, ...]}, ...], ...} a line
  video/
    <vid>.mp4        at any depth"""


def read(layout: Layout) -> Retrieval:
    """The videos with the descriptions that models are judged by."""
    file = layout.file("DREAM-1k.jsonl", "data/annotations/DREAM-1k.jsonl")
    texts: dict[Media, list[str]] = {}
    for place, row in json_lines(file):
        number = field_of(file, place, row, "vid")
        if not isinstance(number, int | str):
            raise DataError(file, f"vid must be a number or a text, got {type(number).__name__}", place)
        texts.setdefault(layout.media(str(number)), []).append(_reference(file, place, row))
    return each_text(texts)


def _reference(file: Path, place: str, row: Any) -> str:
    """What the assistant should say."""
    for message in list_of(file, place, row, "messages"):
        if field_of(file, place, message, "role") == "assistant":
            for part in list_of(file, place, message, "content"):
                return texts_of(file, place, part, "reference")[0]
    raise DataError(file, "must have a message of the assistant with a reference", place)


DREAM_1K = Benchmark(
    "dream1k", "DREAM-1K", "text-to-video retrieval", TREE, read,
    (paper("Table 1", "R@1", 93.3, 89.3, 89.2, 73.0, 56.8),),
    ("the reference description is the query (the paper doesn't say how it retrieves with this captioning benchmark)",),
)  # fmt: skip
