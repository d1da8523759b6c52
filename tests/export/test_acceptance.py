"""The accuracy gate: what it lets through and what it says of the rest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from vljepa_edge.export.int8.acceptance import failures, task_figures
from vljepa_edge.export.int8.fidelity import Fidelity, cosine_rows, fidelity, least

GOOD = {"video": Fidelity(0.995, 0.98), "text": Fidelity(0.999, 0.99)}
CARD: dict[str, Any] = {
    "model": "tiny 1", "clips_per_split": 660,
    "seen": {
        "motion_top1_of_11": 96.5, "retrieval_R@1": 75.9, "retrieval_captions": 2266, "answers_count": 85.4,
        "zero_training_object_top1_of_32": {"frame": 26.1, "best": 31.5}, "count_of_pairs": 70.0,
    },
    "real_photos": {"count": 60, "model": 71.0, "best_zero_training": 60.0, "rows": [{}]},
    "real_videos": {"windows": 23, "says_right": 61.0, "shown": 70.0, "shown_right": 75.0, "rows": []},
    "everyday": {"coco-val": {"items": 565, "text_to_item_R@1": 24.0}, "confidence": {"ECE": 0.05}},
    "real_photos_tuning": {"count": 50, "model": 70.0, "best_zero_training": 60.0, "ways": {"model, What?": 65.0}},
}  # fmt: skip


def card(**seen: float) -> dict[str, Any]:
    return CARD | {"seen": CARD["seen"] | seen}


def test_task_figures_are_the_models_own() -> None:
    assert task_figures(CARD) == {
        "seen.motion_top1_of_11": 96.5, "seen.retrieval_R@1": 75.9, "seen.answers_count": 85.4,
        "seen.count_of_pairs": 70.0, "real_photos_tuning.model": 70.0, "real_videos.says_right": 61.0,
    }  # fmt: skip


def test_photographs_and_clips_that_are_only_reported_decide_nothing() -> None:
    worse = {"real_photos": {"model": 0.0}, "everyday": {"coco-val": {"text_to_item_R@1": 0.0}}}
    assert list(failures(GOOD, CARD, CARD | worse)) == []


@pytest.mark.parametrize("after", [None, CARD, card(motion_top1_of_11=96.0), card(answers_count=99.0)])
def test_what_is_good_enough_passes(after: dict[str, Any] | None) -> None:
    assert list(failures(GOOD, CARD, after)) == []


@pytest.mark.parametrize(
    ("embeddings", "after", "said"),
    [
        (GOOD | {"video": Fidelity(0.9899, 0.98)}, None, "video embeddings have cosine 0.9899"),
        (GOOD | {"text": Fidelity(0.999, 0.9699)}, None, "0.9699 at worst"),
        (GOOD, card(answers_count=84.8), r"seen.answers_count fell from 85.4 to 84.8"),
        (GOOD, CARD | {"real_photos_tuning": {"model": 68.0}}, "real_photos_tuning.model fell from 70 to 68"),
        (GOOD, card(answers_count=math.nan), "seen.answers_count fell from 85.4 to nan"),
        (GOOD | {"video": Fidelity(math.nan, math.nan)}, None, "video embeddings have cosine nan"),
        (GOOD, {"clips_per_split": 660, "seen": {}}, "no seen.motion_top1_of_11 any more"),
        (GOOD, CARD | {"clips_per_split": 330}, "of 660 and 330 clips a split"),
    ],
)
def test_what_is_not_is_named(embeddings: dict[str, Fidelity], after: dict[str, Any] | None, said: str) -> None:
    assert any(said in line for line in failures(embeddings, CARD, after))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_is_as_unlike_as_can_be_wherever_it_is(value: float) -> None:
    good, bad = np.eye(3), np.eye(3)
    bad[1, 2] = value
    assert cosine_rows(good, bad).tolist() == cosine_rows(bad, bad).tolist() == [1.0, -1.0, 1.0]
    for order in (("a", "b"), ("b", "a")):  # min() of NaN and a number depends on which comes first
        outputs = fidelity([dict.fromkeys(order, good)], [{"a": good, "b": bad}])
        assert least(outputs).worst == -1.0 and not least(outputs).meets(0.3, -0.9)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_outputs_that_collapsed_to_one_vector_are_no_good_copy(value: float) -> None:
    rng = np.random.default_rng(0)
    found = fidelity([{"x": rng.normal(size=(50, 16))}], [{"x": np.full((50, 16), value)}])["x"]
    assert not found.meets(0.9, 0.5)
