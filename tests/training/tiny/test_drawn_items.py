"""Drawn clips as items of streams: other objects for tuning, the same place for several clips, the same for a seed."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from tests.training.tiny.fakes import NAMES, cutout, grey_background
from vljepa_edge.evaluation.selective.camera import SIDE
from vljepa_edge.training.tiny import drawn_items as made
from vljepa_edge.training.tiny.drawn_items import drawn_items


@pytest.fixture(autouse=True)
def plain_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        made, "load_cutouts", lambda folder: {name: [cutout((40 * i % 255, 90, 200))] for i, name in enumerate(NAMES)}
    )
    monkeypatch.setattr(made, "load_backgrounds", lambda folders, test: grey_background() if test else [])
    monkeypatch.setattr(made, "held_out", lambda cutouts: frozenset(cutouts))
    monkeypatch.setattr(made.assets, "stamps_dir", lambda: None)
    monkeypatch.setattr(made.assets, "background_dirs", list)


def test_tuning_and_reporting_show_other_objects() -> None:
    shown = []
    for tuning in (True, False):
        items, _ = drawn_items(random.Random(1), tuning)
        shown.append({name for name in NAMES if any(name in said for item in items for said in item.captions)})
    assert shown[0] and shown[1] and not shown[0] & shown[1]
    assert drawn_items(random.Random(1), True)[1] != drawn_items(random.Random(1), False)[1]


def test_a_clip_is_the_same_again_at_every_rate() -> None:
    (first, *_), _ = drawn_items(random.Random(1), False)
    (again, *_), _ = drawn_items(random.Random(1), False)
    frames = first.frames(4.0)
    assert frames.shape == (8, SIDE, SIDE, 3) and np.array_equal(frames, again.frames(4.0))
    assert np.array_equal(first.frames(8.0)[::2], frames) and np.array_equal(first.frames(2.0), frames[::2])


def test_one_clip_follows_another_in_the_same_place() -> None:
    items, _ = drawn_items(random.Random(2), False)
    places = [item.painter for item in items]  # type: ignore[attr-defined]
    stays = np.mean([one is other for one, other in pairwise(places)])
    assert 0.65 < stays < 0.85
    seen = places[0].background(random.Random(1)), places[0].background(random.Random(2))
    assert seen[0].tobytes() == seen[1].tobytes()
