"""ActivityNet Captions, val_1: the sentences of a video as one paragraph."""

from __future__ import annotations

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.gathered import paragraphs
from vljepa_edge.evaluation.items import Retrieval
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import json_object, list_of

TREE = """\
DIR/
  captions/            or DIR itself
    val_1.json         {"v_<youtube_id>": {"duration", "timestamps", "sentences": [...]}, ...}
  videos/
    v_<youtube_id>.mp4 at any depth, or .mkv, .webm"""


def read(layout: Layout) -> Retrieval:
    """The videos of val_1 with their paragraphs."""
    file = layout.file("captions/val_1.json", "val_1.json")
    texts = {}
    for name, entry in json_object(file).items():
        sentences = list_of(file, f"video {name}", entry, "sentences")
        if not all(isinstance(text, str) and text.strip() for text in sentences):
            raise DataError(file, "sentences must be texts with at least one letter", f"video {name}")
        if sentences:
            texts[layout.media(name)] = sentences
    return paragraphs(texts)


ACTIVITYNET = Benchmark(
    "activitynet", "ActivityNet Captions", "text-to-video retrieval (paragraphs)", TREE, read,
    (paper("Table 1", "R@1", 64.9, 62.4, 49.1, 33.9, 23.4),),
    ("the 4,917 videos of val_1, complete (the paper doesn't name the split)",),
)  # fmt: skip
