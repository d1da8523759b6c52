"""Augmentations change pixels by numbers that are drawn for a place, and leave alone what would make the text false."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_edge.errors import InputError
from vljepa_edge.training.data.augment import Augmentations
from vljepa_edge.training.data.sample import Sample

CLIP = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3)).astype(np.uint8)


def test_a_mirror_turns_every_second_clip() -> None:
    mirror = Augmentations(("mirror",))
    turned = 0
    for draw in range(400):
        found = mirror(Sample("0", "a", "a dog runs"), CLIP, draw)
        np.testing.assert_array_equal(found, mirror(Sample("0", "a", "a dog runs"), CLIP, draw))
        turned += np.array_equal(found, CLIP[:, :, ::-1])
        assert np.array_equal(found, CLIP) or np.array_equal(found, CLIP[:, :, ::-1])
    assert 150 < turned < 250


@pytest.mark.parametrize(
    "sample",
    [
        Sample("0", "a", "move the cup to the LEFT"),
        Sample("0", "a", "a cup", query="what is on the right?"),
        Sample("0", "a", "a cup", also=("the left cup",)),
        Sample("0", "a", "a cup", negatives=("the right cup",)),
        Sample("0", "a", "turn the knob counter-clockwise"),
        Sample("0", "a", "a shop sign"),
    ],
)
def test_what_speaks_of_sides_is_not_mirrored(sample: Sample) -> None:
    mirror = Augmentations(("mirror",))
    assert all(np.array_equal(mirror(sample, CLIP, draw), CLIP) for draw in range(50))


def test_words_that_only_contain_a_side_are_mirrored() -> None:
    mirror = Augmentations(("mirror",))
    clips = [mirror(Sample("0", "a", "bright leftovers"), CLIP, draw) for draw in range(50)]
    assert any(np.array_equal(clip, CLIP[:, :, ::-1]) for clip in clips)


def test_brightness_is_one_curve_for_all_frames() -> None:
    bright = Augmentations(("brightness",))
    found = [bright(Sample("0", "a", "x"), CLIP, draw) for draw in range(40)]
    for clip in found:
        assert clip.shape == CLIP.shape
        assert clip.dtype == np.uint8
        levels = {(int(before), int(after)) for before, after in zip(CLIP.flat, clip.flat, strict=True)}
        assert len(levels) == len({before for before, _ in levels})
        assert np.abs(clip.astype(int) - CLIP).max() <= 25 + 0.2 * 128 + 1
    assert len({clip.tobytes() for clip in found}) == 40


def test_an_augmentation_changes_no_other() -> None:
    sample = Sample("0", "a", "x")
    for draw in range(20):
        both = Augmentations(("mirror", "brightness"))(sample, CLIP, draw)
        one = Augmentations(("brightness",))(sample, Augmentations(("mirror",))(sample, CLIP, draw), draw)
        np.testing.assert_array_equal(both, one)


def test_unknown_names_are_an_error() -> None:
    with pytest.raises(InputError, match="augmentations must be of mirror, brightness, got reverse"):
        Augmentations(("mirror", "reverse"))
