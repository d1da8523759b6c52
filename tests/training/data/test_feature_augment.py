"""Augmentations of cached features leave what is said true: looks and light move as a whole, and nothing else does."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from vljepa_edge.errors import InputError
from vljepa_edge.nn.tiny_streams import CONCEPT_WIDTH, GRID_WIDTH
from vljepa_edge.training.data.feature_augment import FEATURE_AUGMENTATIONS, FeatureAugmentations, Features
from vljepa_edge.training.data.sample import Sample

SAMPLE = Sample("", "", "")


def features(seed: int = 0) -> Features:
    """As a cache holds them, at 16 bits and not to be written to."""
    rng = np.random.default_rng(seed)
    made: Features = {
        "appearance": rng.normal(size=(8, 10, GRID_WIDTH + CONCEPT_WIDTH)).astype(np.float16),
        "luma": rng.uniform(0.2, 0.8, (8, 56, 56)).astype(np.float16),
    }
    for value in made.values():
        value.flags.writeable = False
    return made


def test_looks_move_by_one_step_in_all_frames_and_regions() -> None:
    plain, steps = features(), []
    for draw in range(20):
        found = FeatureAugmentations(("grid_noise",))(SAMPLE, plain, draw)
        assert found["luma"] is plain["luma"] and found["appearance"].dtype == np.float16
        np.testing.assert_array_equal(found["appearance"][..., GRID_WIDTH:], plain["appearance"][..., GRID_WIDTH:])
        moved = (found["appearance"].astype(np.float64) - plain["appearance"])[..., :GRID_WIDTH]
        assert np.abs(moved - moved.mean((0, 1))).max() < 4e-3  # 16 bits
        steps.append(moved.mean((0, 1)))
    assert np.std(steps) == pytest.approx(0.3, rel=0.05) and abs(np.mean(steps)) < 0.02
    assert np.abs(np.corrcoef(steps)[0, 1:]).max() < 0.3  # another in each draw


def test_light_is_one_gain_and_one_level_for_the_clip() -> None:
    plain, gains, levels = features(), [], []
    for draw in range(60):
        found = FeatureAugmentations(("light",))(SAMPLE, plain, draw)
        assert found["appearance"] is plain["appearance"] and found["luma"].dtype == np.float16
        x, y = (each["luma"].astype(np.float64).ravel() for each in (plain, found))
        gain, level = np.polyfit(x, y, 1)
        assert np.abs(gain * x + level - y).max() < 2e-3
        gains.append(gain)
        levels.append(level)
    for values, low, high in ((gains, 0.7, 1.3), (levels, -0.1, 0.1)):
        assert low - 1e-3 < min(values) < low + 0.1 * (high - low) + 1e-3
        assert high + 1e-3 > max(values) > high - 0.1 * (high - low) - 1e-3


def test_a_draw_decides_and_one_augmentation_changes_no_other() -> None:
    plain, draw = features(), 2**64 - 5
    both = FeatureAugmentations(("grid_noise", "light"))
    found, again = both(SAMPLE, plain, draw), pickle.loads(pickle.dumps(both))(SAMPLE, plain, draw)
    for name in plain:
        np.testing.assert_array_equal(found[name], again[name])
        assert not np.array_equal(found[name], plain[name])
        assert not np.array_equal(found[name], both(SAMPLE, plain, 1)[name])
    np.testing.assert_array_equal(found["luma"], FeatureAugmentations(("light",))(SAMPLE, plain, draw)["luma"])
    np.testing.assert_array_equal(
        found["appearance"], FeatureAugmentations(("light", "grid_noise"))(SAMPLE, plain, draw)["appearance"]
    )
    assert FeatureAugmentations(())(SAMPLE, plain, draw) == plain


def test_other_streams_pass() -> None:
    more = features() | {"more": np.arange(3)}
    assert FeatureAugmentations(tuple(FEATURE_AUGMENTATIONS))(SAMPLE, more, 1)["more"] is more["more"]


def test_what_can_not_be_augmented_is_named() -> None:
    with pytest.raises(InputError, match="must be of grid_noise, light, got flip, dark"):
        FeatureAugmentations(("light", "flip", "dark"))
    with pytest.raises(InputError, match=r"light needs the stream luma, got \['x_encoder'\]"):
        FeatureAugmentations(("light",))(SAMPLE, {"x_encoder": np.zeros((4, 8))}, 0)
    for appearance in ({}, {"appearance": np.zeros((8, 10, GRID_WIDTH))}):
        with pytest.raises(InputError, match=r"need the default's stream appearance, got \["):
            FeatureAugmentations(("grid_noise",))(SAMPLE, appearance, 0)
