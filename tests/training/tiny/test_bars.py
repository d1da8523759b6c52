"""The bars of the default, and the card that shows them."""

from __future__ import annotations

import json

import pytest

from vljepa_edge.bundle.store import default_bundle
from vljepa_edge.training.figures import everyday
from vljepa_edge.training.tiny import bars, card
from vljepa_edge.training.tiny.bars import BARS, REAL, Bar
from vljepa_edge.training.tiny.card_text import NOT_MEASURED, bar_lines, markdown

SEARCH = {
    "items": 565, "captions": 2826, "text_to_item_R@1": 24.1, "text_to_item_R@5": 55.9, "text_to_item_R@10": 70.0,
    "item_to_text_R@1": 30.0, "item_to_text_R@5": 60.0, "item_to_text_R@10": 75.0, "CIDEr": 26.4,
}  # fmt: skip
THERE = {"by_cosine": 81.3, "by_asking": 77.7, "area": 88.8, "questions": 1176, "threshold": 0.2, "chosen": "by_asking"}

SURE = {
    "texts": 1565, "ECE": 0.0433, "area": 80.1, "right": 51.2, "shown": 62.6, "shown_right": 76.4,
    "bins": [[0.1, 0.12, 700], [0.8, 0.77, 865]],
}  # fmt: skip


def test_each_bar_is_of_a_part_that_can_be_measured_and_has_a_name_of_its_own() -> None:
    assert {bar.part for bar in BARS} <= set(card.check_parts(()))
    assert len({bar.label for bar in BARS}) == len({bar.key for bar in BARS}) == len(BARS)
    for bar in BARS:
        if bar.part in everyday.PARTS:
            assert bar.key.startswith(f"everyday/{bar.part}/")


def test_the_drawn_bars_are_four_points_below_what_they_say_0_8_0_had() -> None:
    drawn = [bar for bar in BARS if bar.part == "drawn"]
    assert drawn and all(bar.before is not None and bar.before - bar.bar == pytest.approx(4) for bar in drawn)


def test_a_figure_is_found_or_none() -> None:
    bar = Bar("a", "p", "everyday/x/R@1", 5.0, None)
    assert bar.value({"everyday": {"x": {"R@1": 7}}}) == 7.0
    for figures in ({}, {"everyday": {}}, {"everyday": {"x": {"R@1": None}}}, {"everyday": 3}):
        assert bar.value(figures) is None


@pytest.mark.parametrize(("most", "value", "reached"), [(False, 4.9, False), (False, 5.0, True), (True, 5.1, False)])
def test_a_bar_is_the_least_or_the_most(most: bool, value: float, reached: bool) -> None:
    assert Bar("a", "p", "k", 5.0, None, most=most).reached(value) == reached


def test_lines_have_only_what_was_measured_and_say_what_is_below() -> None:
    lines = list(bar_lines({"model": "m 1", "everyday": {"coco-val": SEARCH}}))
    assert [line.split()[:2] for line in lines] == [["ok", "24.1"], ["BELOW", "55.9"]]
    assert "bar >=    56 " in lines[1] and "29.4" in lines[1]


def test_the_card_of_some_parts_has_those_and_says_what_is_missing() -> None:
    figures = {
        "model": "m 1.2", "everyday": {"coco-val": SEARCH, "is-there": THERE, "confidence": SURE},
        "missing": {"robot-test": "robot-test.jsonl: is not there"},
    }  # fmt: skip
    text = markdown(figures)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert f"| {REAL[0].label} | 24.1 | 24 | 9.9 | `vljepa eval card --only coco-val` |" in rows
    assert any(NOT_MEASURED in row and "robot" in row for row in rows)
    assert "| `coco-val` | 565 | 2826 | 24.1 | 55.9 | 70.0 | 30.0 | 60.0 | 75.0 | 26.4 |" in rows
    assert all(figure in text for figure in ("1176", "81.3 %", "77.7", "88.8 %"))
    told = f"| confidence of captions, ECE | 0.043 | 0.08 | {NOT_MEASURED} | `vljepa"
    assert any(row.startswith(told) for row in rows)
    assert "| 0.800 | 0.770 | 865 |" in rows and "76.4 %" in text
    assert "* `robot-test`: robot-test.jsonl: is not there" in text
    assert "Drawn clips" not in text and "single objects, 48" not in text


def test_the_shipped_figures_make_a_complete_card() -> None:
    figures = json.loads((default_bundle() / "manifest.json").read_text(encoding="utf-8"))["figures"]
    text = markdown(figures)
    for heading in ("Real photographs and video", "Drawn clips", "Photographs of single objects", "Stretches of real"):
        assert f"## {heading}" in text
    assert len([bar for bar in bars.BARS if bar.value(figures) is not None]) >= 18


def test_stretches_of_video_show_what_a_stream_would_print() -> None:
    row = {"video": "clip", "start": 0.0, "end": 1.5, "person": "A cat.", "says": "A dog runs.", "picks": "cat"}
    rows = [
        row | {"shows": "A dog runs.", "confidence": 0.91}, row | {"shows": "An animal.", "confidence": 0.7},
        row | {"shows": "", "confidence": 0.123}, row,
    ]  # fmt: skip
    videos = {"windows": 4, "says_right": 25.0, "picks_right": 50.0, "shown": 75.0, "shown_right": 66.7, "rows": rows}
    lines = markdown({"model": "m 1", "real_videos": videos}).splitlines()
    table = [line for line in lines if line.startswith("| clip ")]
    assert [line.split(" | ")[4:6] for line in table] == [
        ["0.91", "the same"], ["0.70", "An animal."], ["0.12", NOT_MEASURED], [NOT_MEASURED, "the same"],
    ]  # fmt: skip
    assert any("75.0 % of them" in line for line in lines) and any("66.7 %" in line for line in lines)
