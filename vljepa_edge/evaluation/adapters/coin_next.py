"""COIN next step, testing videos: from one step alone, which step comes after it."""

from __future__ import annotations

from vljepa_edge.evaluation.adapters.coin import TESTING, TREE, file_of, steps, videos
from vljepa_edge.evaluation.benchmark import Benchmark, Paper
from vljepa_edge.evaluation.classes import Classes
from vljepa_edge.evaluation.items import Classification, Labelled
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import field_of, stretch_of, texts_of


def read(layout: Layout) -> Classification:
    """A clip for every step but the last of its video; the classes are the distinct steps of the testing videos."""
    file, classes, items = file_of(layout), Classes(), []
    for place, name, entry in videos(file):
        if entry["subset"] in TESTING:
            row = [(f"{place}, step {number}", step) for number, step in enumerate(steps(file, place, entry))]
            numbers = [classes.number(texts_of(file, where, step, "label")[0].lower()) for where, step in row]
            for (where, step), after in zip(row, numbers[1:], strict=False):  # the last step has none after it
                stretch = stretch_of(file, where, field_of(file, where, step, "segment"))
                items.append(Labelled(layout.media(name, ".mp4", *stretch), after))
    return Classification(classes.labels, tuple(items), "What is the next action for the video?")


COIN_NEXT = Benchmark(
    "coin_next", "COIN, next step", "anticipation (top-1 of the next step's text)", TREE, read,
    (
        Paper(
            "Table 5", "top-1",
            {"VL-JEPA, fine-tuned": 56.2, "ProVideLLM": 53.6, "VideoLLM-MoD": 49.7, "VideoLLM-online": 49.1},
        ),
    ),
    (
        "the protocol of VideoLLM-online, whose figure stands beside the paper's: the segment of one step is seen, and "
        "the classes are the distinct labels of the testing videos in small letters",
        "the query is VideoLLM-online's question; the paper fine-tunes, and doesn't print its own",
    ),
)  # fmt: skip
