"""PVD-Bench (PE Video, test): a caption that people refined for each video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.gathered import each_text
from vljepa_edge.evaluation.items import Media, Retrieval
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import csv_rows, json_object, texts_of

_TABLE = "imago15k.csv"
TREE = f"""\
DIR/
  test/                 the shards of facebook/PE-Video, test, unpacked
    <video_id>.json     {{"human_caption", ...}}; one without a caption is left out
    <video_id>.mp4
  {_TABLE}          or a table for all: video_id, sentence; as the repository perception_models reads it"""


def read(layout: Layout) -> Retrieval:
    """The videos that people described; those of the table, where there is one."""
    table, shards = layout.data / _TABLE, layout.data / "test"
    pairs = _unpacked(layout, shards) if shards.is_dir() and not table.is_file() else _table(layout.file(_TABLE))
    texts: dict[Media, list[str]] = {}
    for name, text in pairs:
        texts.setdefault(layout.media(name), []).append(text)
    return each_text(texts)


def _table(file: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each row."""
    for place, row in csv_rows(file, "video_id", "sentence"):
        name, text = texts_of(file, place, row, "video_id", "sentence")
        yield name, text


def _unpacked(layout: Layout, folder: Path) -> Iterator[tuple[str, str]]:
    """The same of each file that has a caption."""
    for file in layout.files(folder):
        row = json_object(file) if file.suffix == ".json" else {}
        if row.get("human_caption") is not None:
            yield file.stem, texts_of(file, "the file", row, "human_caption")[0]


PVD_BENCH = Benchmark(
    "pvd_bench", "PVD-Bench", "text-to-video retrieval", TREE, read,
    (paper("Table 1", "R@1", 83.1, 82.6, 77.0, 60.4, 36.7),),
)  # fmt: skip
