"""The motion stem's own training: labels follow the augmentations, and a clear motion is learnt in a few steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.tiny.fakes import blobs
from vljepa_edge.nn.tiny_streams import MotionStem
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny import motion
from vljepa_edge.training.tiny.captions import MOTIONS, Scene
from vljepa_edge.training.tiny.recipe import MotionRecipe


def test_a_mirrored_clip_swaps_left_and_right_and_nothing_else() -> None:
    swapped = {MOTIONS[i]: MOTIONS[j] for i, j in enumerate(motion._SIDES) if i != j}
    assert swapped == {"left": "right", "right": "left", "left_while": "right_while", "right_while": "left_while"}


def test_a_clip_played_backwards_gets_the_backward_motion() -> None:
    assert {MOTIONS[i]: MOTIONS[j] for i, j in enumerate(motion._BACK)} == say.BACKWARDS


@pytest.mark.parametrize("name", ["left", "right", "up", "down"])
def test_the_two_tables_agree_with_the_pixels(name: str) -> None:
    clip = blobs(Scene(name, "x"))
    np.testing.assert_array_equal(clip[::-1], blobs(Scene(MOTIONS[motion._BACK[MOTIONS.index(name)]], "x")))
    if name in ("up", "down"):
        assert MOTIONS[motion._SIDES[MOTIONS.index(name)]] == name


def test_clear_motions_are_learnt() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    names = ("left", "right", "appear", "vanish")
    scenes = [Scene(names[i % 4], "x") for i in range(96)]
    drawn = [blobs(s) for s in scenes]
    luma = np.stack([np.roll(clip, rng.integers(-6, 7, 2), (1, 2)) for clip in drawn])
    stem = MotionStem(8)
    motions, counts = motion.pretrain_motion(
        stem,
        luma[:80],
        scenes[:80],
        (luma[80:], scenes[80:]),
        MotionRecipe(width=8, epochs=5, batch=16, lr=1e-2),
        seed=0,
    )
    assert motions >= 0.75  # chance among the four: 0.25
    assert counts == 1.0  # nothing but ones were shown
    assert not stem.training
