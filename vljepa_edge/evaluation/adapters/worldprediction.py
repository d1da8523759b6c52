"""WorldPrediction-WM: two images of the world, and four clips of which one leads from the first to the second."""

from __future__ import annotations

from pathlib import Path

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.benchmark import Benchmark, Paper
from vljepa_edge.evaluation.items import Change, Media, Transition, Transitions
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.evaluation.tables import field_of, json_lines, list_of, number_of, stretch_of, texts_of

TREE = """\
DIR/
  wm.jsonl     a line for each of the 825 samples, which you write from WorldPrediction's annotations: these name
               segments of COIN, CrossTask, EgoExo4D, EPIC-KITCHENS-100 and IKEA-ASM, whose videos each has to get
                 {"before": STATE, "after": STATE, "candidates": [CLIP, CLIP, CLIP, CLIP], "right": 0,
                  "dataset": "COIN"}
                 STATE  "an/image.jpg", or ["a/video.mp4", second]
                 CLIP   "a/clip.mp4",   or ["a/video.mp4", start, end]
               right: the place of the right clip, from 0; dataset: may be left out
  ...          the files that it names"""


def read(layout: Layout) -> Transitions:
    """The samples, in groups by the data set that they come from."""
    file = layout.file("wm.jsonl")
    items = []
    for place, row in json_lines(file):
        before, after = (_state(layout, file, place, field_of(file, place, row, name)) for name in ("before", "after"))
        clips = tuple(_clip(layout, file, place, value) for value in list_of(file, place, row, "candidates"))
        right = field_of(file, place, row, "right")
        if type(right) is not int or not 0 <= right < len(clips) or len({*clips}) != len(clips) or len(clips) < 2:
            why = "candidates must differ, be two or more, and right be the place of one of them, from 0"
            raise DataError(file, why, place)
        (group,) = texts_of(file, place, row, "dataset") if "dataset" in row else ("",)
        items.append(Transition(Change(before, after), clips, right, group))
    return Transitions(tuple(items))


def _state(layout: Layout, file: Path, place: str, value: object) -> Media:
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
        second = number_of(file, place, value[1])
        if second >= 0:
            return Media(layout.data / value[0], second)
    elif isinstance(value, str):
        return Media(layout.data / value)
    raise DataError(file, f"a state must be a path, or a path and a second, got {value!r}", place)


def _clip(layout: Layout, file: Path, place: str, value: object) -> Media:
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        return Media(layout.data / value[0], *stretch_of(file, place, value[1:]))
    if isinstance(value, str):
        return Media(layout.data / value)
    raise DataError(file, f"a clip must be a path, or a path, a start and an end, got {value!r}", place)


WORLDPREDICTION_WM = Benchmark(
    "worldprediction_wm", "WorldPrediction-WM", "transition (inverse dynamics)", TREE, read,
    (
        Paper(
            "Table 3", "accuracy",
            {"VL-JEPA Base": 63.9, "VL-JEPA SFT": 65.7, "Gemini-2": 55.6, "Claude-3.5": 53.3, "GPT-4o": 52.0},
        ),
    ),
    (
        "wm.jsonl is a layout of ours, not the published one; chance is 25 per cent",
        "a clip of the two images, each for half of it, is asked what the bundle's manifest says for transitions, else "
        "the default query; the candidates are asked the default query",
    ),
)  # fmt: skip
