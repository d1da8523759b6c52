"""YouCook2, validation: the text of a step finds its clip among all clips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.gathered import each_text
from vljepa_edge.evaluation.items import Media, Retrieval
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import csv_rows, field_of, json_object, list_of, stretch_of, texts_of

_TABLE = "validation_youcook.csv"
TREE = f"""\
DIR/
  {_TABLE}       start, end, text, video_id: the 3,350 clips that are commonly evaluated; or
                               youcookii_annotations_trainval.json: {{"database": {{"<youtube_id>": {{"subset",
                               "annotations": [{{"segment": [start, end], "sentence"}}, ...]}}}}}}, all 3,492
  raw_videos/
    <youtube_id>.mp4           at any depth, or .mkv, .webm"""


def read(layout: Layout) -> Retrieval:
    """The clips of the validation videos. One that stands in two rows has two texts."""
    file = layout.file(_TABLE, "youcookii_annotations_trainval.json")
    texts: dict[Media, list[str]] = {}
    for name, text, start, end in _table(file) if file.name == _TABLE else _database(file):
        texts.setdefault(layout.media(name, ".mp4", start, end), []).append(text)
    return each_text(texts)


def _table(file: Path) -> Iterator[tuple[str, str, float, float]]:
    """Name, text, start and end of each step."""
    for place, row in csv_rows(file, "start", "end", "text", "video_id"):
        name, text = texts_of(file, place, row, "video_id", "text")
        yield name, text, *stretch_of(file, place, [row["start"], row["end"]])


def _database(file: Path) -> Iterator[tuple[str, str, float, float]]:
    """The same of the validation videos."""
    database = field_of(file, "the file", json_object(file), "database")
    if not isinstance(database, dict):
        raise DataError(file, 'must have an object "database"')
    for name, entry in database.items():
        if field_of(file, f"video {name}", entry, "subset") == "validation":
            for number, step in enumerate(list_of(file, f"video {name}", entry, "annotations")):
                place = f"video {name}, step {number}"
                (text,) = texts_of(file, place, step, "sentence")
                yield name, text, *stretch_of(file, place, field_of(file, place, step, "segment"))


YOUCOOK2 = Benchmark(
    "youcook2", "YouCook2", "text-to-video retrieval (clips)", TREE, read,
    (paper("Table 1", "R@1", 40.4, 37.8, 26.0, 22.2, 7.9),),
    (f"the clips of {_TABLE} where it is there, else all of the validation videos (the paper doesn't say)",),
)  # fmt: skip
