"""PVD-Bench (PE Video, test): a caption that people refined for each video."""

from __future__ import annotations

from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.gathered import each_text
from vljepa_edge.evaluation.items import Media, Retrieval
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import csv_rows, texts_of

TREE = """\
DIR/
  imago15k.csv        video_id, sentence; as the repository perception_models reads it
  videos/
    <video_id>.mp4    at any depth"""


def read(layout: Layout) -> Retrieval:
    """The pairs of the table."""
    file = layout.file("imago15k.csv")
    texts: dict[Media, list[str]] = {}
    for place, row in csv_rows(file, "video_id", "sentence"):
        name, text = texts_of(file, place, row, "video_id", "sentence")
        texts.setdefault(layout.media(name), []).append(text)
    return each_text(texts)


PVD_BENCH = Benchmark(
    "pvd_bench", "PVD-Bench", "text-to-video retrieval", TREE, read,
    (paper("Table 1", "R@1", 83.1, 82.6, 77.0, 60.4, 36.7),),
)  # fmt: skip
