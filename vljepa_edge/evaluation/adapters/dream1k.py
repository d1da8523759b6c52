"""DREAM-1K: a detailed description for each video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.gathered import each_text
from vljepa_edge.evaluation.items import Media, Retrieval
from vljepa_edge.evaluation.layout import Layout, stem_of
from vljepa_edge.evaluation.tables import field_of, json_lines, json_list, list_of, texts_of

_LINES, _LIST = "DREAM-1k.jsonl", "json/metadata.json"
TREE = f"""\
DIR/
  {_LIST}   of omni-research/DREAM-1K: [{{"video_file": "video/<n>.mp4", "description", ...}}, ...]
                       or {_LINES}, of bytedance/tarsier, a line each:
                       {{"vid": <n>, "messages": [{{"role", "content": [{{"reference"}}, ...]}}, ...]}}
  video/
    <n>.mp4            at any depth"""


def read(layout: Layout) -> Retrieval:
    """The videos with the descriptions that models are judged by."""
    file = layout.file(_LIST, _LINES, f"data/annotations/{_LINES}")
    texts: dict[Media, list[str]] = {}
    for name, text in _list(file) if file.suffix == ".json" else _lines(file):
        texts.setdefault(layout.media(name), []).append(text)
    return each_text(texts)


def _list(file: Path) -> Iterator[tuple[str, str]]:
    """Name and description of each video."""
    for place, row in json_list(file):
        video, text = texts_of(file, place, row, "video_file", "description")
        yield stem_of(PurePosixPath(video).name), text


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    """The same of each line."""
    for place, row in json_lines(file):
        number = field_of(file, place, row, "vid")
        if not isinstance(number, int | str):
            raise DataError(file, f"vid must be a number or a text, got {type(number).__name__}", place)
        yield str(number), _reference(file, place, row)


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
