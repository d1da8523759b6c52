"""DiDeMo, test: the descriptions of a video as one paragraph."""

from __future__ import annotations

from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.gathered import paragraphs
from vljepa_edge.evaluation.items import Media, Retrieval
from vljepa_edge.evaluation.layout import Layout, stem_of
from vljepa_edge.evaluation.tables import json_list, texts_of

TREE = """\
DIR/
  data/                                of the repository LisaAnne/LocalizingMoments, or DIR itself
    test_data.json                     [{"video", "description", ...}, ...]
  videos/
    <user>@N0<d>_<photo>_<hash>.<ext>  at any depth; the ending may differ from the file's, or be a dot alone"""

ANNOTATED = 30.0
"""Seconds: of longer videos people saw no more."""


def read(layout: Layout) -> Retrieval:
    """The videos by their stems: the file names some of them twice, with two endings."""
    file = layout.file("data/test_data.json", "test_data.json")
    texts: dict[Media, list[str]] = {}
    for place, row in json_list(file):
        name, text = texts_of(file, place, row, "video", "description")
        texts.setdefault(layout.media(stem_of(name), ".mp4", 0.0, ANNOTATED), []).append(text)
    return paragraphs(texts)


DIDEMO = Benchmark(
    "didemo", "DiDeMo", "text-to-video retrieval (paragraphs)", TREE, read,
    (paper("Table 1", "R@1", 50.0, 52.3, 44.5, 38.9, 30.7),),
    (
        "the 1,004 test videos, of which people saw the first 30 s; all descriptions of a video, in the order of the "
        "file, are its query",
    ),
)  # fmt: skip
