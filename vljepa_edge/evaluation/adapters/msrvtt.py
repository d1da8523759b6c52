"""MSR-VTT: the 1,000 test pairs of JSFusion (1k-A), and the complete test split with every caption."""

from __future__ import annotations

from vljepa_edge.evaluation.benchmark import Benchmark, paper
from vljepa_edge.evaluation.gathered import each_text
from vljepa_edge.evaluation.items import Media, Retrieval
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import csv_rows, json_object, list_of, texts_of

_VIDEOS = """
  videos/
    video<N>.mp4              at any depth"""
TREE_1KA = f"""\
DIR/
  MSRVTT_JSFUSION_test.csv    key, vid_key, video_id, sentence (or sentences); or msrvtt_test.csv{_VIDEOS}"""
TREE_FULL = f"""\
DIR/
  test_videodatainfo.json     {{"videos": [{{"video_id", "split"}}, ...],
                               "sentences": [{{"video_id", "caption"}}, ...]}}; or MSRVTT_data.json{_VIDEOS}"""


def read_1ka(layout: Layout) -> Retrieval:
    """The pairs of the table."""
    file = layout.file("MSRVTT_JSFUSION_test.csv", "msrvtt_test.csv")
    texts: dict[Media, list[str]] = {}
    for place, row in csv_rows(file, "video_id"):
        name, text = texts_of(file, place, row, "video_id", "sentences" if "sentences" in row else "sentence")
        texts.setdefault(layout.media(name), []).append(text)
    return each_text(texts)


def read_full(layout: Layout) -> Retrieval:
    """Every sentence of the videos whose split is test."""
    file = layout.file("test_videodatainfo.json", "MSRVTT_data.json")
    annotations = json_object(file)
    videos, sentences = (list_of(file, "the file", annotations, name) for name in ("videos", "sentences"))
    texts: dict[str, list[str]] = {}
    for number, video in enumerate(videos):
        name, split = texts_of(file, f"video {number}", video, "video_id", "split")
        if split == "test":
            texts[name] = []
    for number, sentence in enumerate(sentences):
        name, text = texts_of(file, f"sentence {number}", sentence, "video_id", "caption")
        if name in texts:
            texts[name].append(text)
    return each_text({layout.media(name): own for name, own in texts.items() if own})


MSRVTT = Benchmark(
    "msrvtt", "MSR-VTT 1k-A", "text-to-video retrieval", TREE_1KA, read_1ka,
    (paper("Table 1", "R@1", 40.0, 46.2, 51.6, 43.4, 35.9),),
    ("the paper doesn't name the split: the 1,000 pairs that its rivals report, one caption a video",),
)  # fmt: skip
MSRVTT_FULL = Benchmark(
    "msrvtt_full", "MSR-VTT, complete test split", "text-to-video retrieval", TREE_FULL, read_full,
    ours=("all 2,990 test videos, every caption a query: not what the paper reports, and lower than 1k-A",),
)  # fmt: skip
