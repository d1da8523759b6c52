"""MSVD, test: every caption is a query."""

from __future__ import annotations

from collections.abc import Iterator

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.gathered import each_text
from vljepa_edge.evaluation.items import Retrieval
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import csv_rows, lines_of, texts_of

_LINES, _TABLE = "AllVideoDescriptions.txt", "MSR Video Description Corpus.csv"
TREE = f"""\
DIR/
  test_list.txt                        the 670 names, <VideoID>_<Start>_<End>, one a line
  {_LINES}             lines of a name, a blank and a caption; those with # are comments
                                       or {_TABLE}: VideoID, Start, End, Language, Description
  YouTubeClips/
    <VideoID>_<Start>_<End>.avi        at any depth"""


def read(layout: Layout) -> Retrieval:
    """The videos of the test list, with all their English captions."""
    listed = layout.file("test_list.txt")
    texts: dict[str, list[str]] = {name: [] for _, name in lines_of(listed)}
    for name, text in _captions(layout):
        if name in texts:
            texts[name].append(text)
    silent = [name for name, own in texts.items() if not own]
    if silent:
        raise DataError(listed, f"{len(silent)} of its videos have no caption, e.g. {silent[0]}")
    return each_text({layout.media(name, ".avi"): own for name, own in texts.items()})


def _captions(layout: Layout) -> Iterator[tuple[str, str]]:
    """The name of a video and a caption of it, for each caption."""
    file = layout.file(_LINES, _TABLE)
    if file.name == _LINES:
        for place, line in lines_of(file):
            if not line.startswith("#"):
                name, blank, text = line.partition(" ")
                if not blank:
                    raise DataError(file, f"must be a name, a blank and a caption, got {line!r}", place)
                yield name, text
        return
    for place, row in csv_rows(file, "VideoID", "Start", "End", "Language", "Description"):
        if row["Language"] == "English" and row["Description"].strip():
            yield "_".join(texts_of(file, place, row, "VideoID", "Start", "End")), row["Description"]


MSVD = Benchmark(
    "msvd", "MSVD", "text-to-video retrieval", TREE, read,
    (paper("Table 1", "R@1", 49.0, 52.3, 58.7, 56.0, 41.9),),
    ("every caption of the 670 test videos is a query, as in PE-Core's evaluation (the paper doesn't say)",),
)  # fmt: skip
