"""VDC (Video Detailed Caption, 1k): a detailed caption for each video."""

from __future__ import annotations

from pathlib import PurePosixPath

from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.gathered import each_text
from vljepa_edge.evaluation.items import Media, Retrieval
from vljepa_edge.evaluation.layout import Layout, stem_of
from vljepa_edge.evaluation.tables import json_lines, texts_of

TREE = """\
DIR/
  VDC_1k.jsonl       {"video_id", "detailed_caption", ...} a line; or VDC_1k_captions.jsonl, of the repository
                     rese1f/aurora: {"video_id", "captions": {"detailed_caption", ...}}
  videos/
    <video_id>.mp4   at any depth; or as "video_name" says"""


def read(layout: Layout) -> Retrieval:
    """The videos with their detailed captions."""
    file = layout.file("VDC_1k.jsonl", "VDC_1k_captions.jsonl", "post_eval/VDC_1k_captions.jsonl")
    texts: dict[Media, list[str]] = {}
    for place, row in json_lines(file):
        captions = row.get("captions", row) if isinstance(row, dict) else row
        (text,) = texts_of(file, place, captions, "detailed_caption")
        (name,) = texts_of(file, place, row, "video_name" if "video_name" in row else "video_id")
        texts.setdefault(layout.media(stem_of(PurePosixPath(name).name)), []).append(text)
    return each_text(texts)


VDC = Benchmark(
    "vdc", "VDC-1k", "text-to-video retrieval", TREE, read,
    (paper("Table 1", "R@1", 88.8, 87.7, 68.5, 52.5, 49.3),),
    ("of the five captions of a video the detailed one is the query (the paper doesn't say)",),
)  # fmt: skip
