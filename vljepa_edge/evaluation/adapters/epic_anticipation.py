"""EPIC-KITCHENS-100 action anticipation, validation: which verb and noun come 1, 2, 4 and 10 seconds later."""

from __future__ import annotations

from pathlib import Path

from vljepa_edge.evaluation.adapters.epic_kitchens import Pairs
from vljepa_edge.evaluation.benchmark import Benchmark, Paper
from vljepa_edge.evaluation.classes import Classes
from vljepa_edge.evaluation.items import Anticipation, Labelled
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import csv_rows, seconds_of

TIMES = (1, 2, 4, 10)  # seconds ahead
CONTEXT = 4.0  # seconds that are seen: 32 frames at 8 a second, as V-JEPA 2
_FRAME = 0.1  # seconds that are seen at least, of an action that begins too early for more
TREE = """\
DIR/
  EPIC_100_validation.csv        of epic-kitchens-100-annotations, with verb_class, noun_class and start_timestamp
  EPIC_100_train.csv             tells which pairs of verb and noun can be known
  EPIC_100_verb_classes.csv      id, key, ...
  EPIC_100_noun_classes_v2.csv   id, key, ..., or EPIC_100_noun_classes.csv
  <participant>/videos/
    <video_id>.MP4               at any depth"""


def read(layout: Layout) -> Anticipation:
    """Every action of the validation set whose pair occurs in the training set, once for each time ahead."""
    pairs = Pairs(layout)
    known = {(row["verb_class"], row["noun_class"]) for _, row in _rows(layout.file("EPIC_100_train.csv"))}
    file = layout.file("EPIC_100_validation.csv")
    classes, items = Classes(), []
    for place, row in _rows(file):
        text = pairs.text(file, place, row)
        if (row["verb_class"], row["noun_class"]) not in known:
            continue
        number = classes.number(text)
        onset = seconds_of(file, place, row["start_timestamp"])
        for ahead in TIMES:
            end = max(onset - ahead, _FRAME)
            media = layout.media(row["video_id"], ".MP4", max(0.0, end - CONTEXT), end)
            items.append(Labelled(media, number, f"{ahead} s"))
    return Anticipation(classes.labels, tuple(items), "What is the next action?")


def _rows(file: Path) -> list[tuple[str, dict[str, str]]]:
    return list(csv_rows(file, "video_id", "start_timestamp", "verb_class", "noun_class"))


_PAPER = {
    "VL-JEPA, fine-tuned": (34.2, 26.0, 19.4, 11.7),
    "V-JEPA 2 ViT-L": (32.7, 23.4, 15.9, 7.1),
    "V-JEPA 2 ViT-g": (39.7, 28.6, 19.3, 8.2),
}
EPIC_ANTICIPATION = Benchmark(
    "epic_anticipation", "EPIC-KITCHENS-100, action anticipation", "anticipation (class-mean recall@5)", TREE, read,
    tuple(
        Paper("Table 4", f"recall@5, {ahead} s", {model: values[place] for model, values in _PAPER.items()})
        for place, ahead in enumerate(TIMES)
    ),
    (
        "what is seen ends t seconds before the action's START, as the paper's text and the challenge say; V-JEPA 2's "
        "released code, whose figures stand beside the paper's, counts from its end, so that "
        "a long action is seen before it is asked for",
        "of an action that begins less than t seconds into its video the first frame is seen, as in V-JEPA 2",
        "4 seconds are seen (32 frames at 8 a second in V-JEPA 2; the paper doesn't say)",
        "the candidates are the pairs of verb and noun of the validation set; actions whose pair never occurs in the "
        "training set are left out, as in V-JEPA 2",
        'the query is "What is the next action?"; the paper fine-tunes, and doesn\'t print its own',
    ),
)  # fmt: skip
