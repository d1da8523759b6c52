"""Changes of cached features that leave the text true, by name. What changes a sample is drawn by its place in the run.

They are of the default's streams (see nn/tiny_streams.py): a picture that is made lighter or noisy would have to go
through the frozen encoder again; its features need not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError
from vljepa_edge.nn.tiny_streams import GRID_WIDTH
from vljepa_edge.training.data.augment import Augmentation, Augmentations
from vljepa_edge.training.data.sample import Sample

Features = Mapping[str, NDArray[Any]]

_NOISE = 0.3


def grid_noise(sample: Sample, features: Features, rng: np.random.Generator) -> Features:
    """Looks moved by one random step, the same in every frame and region."""
    appearance = _appearance(features).copy()
    step = (_NOISE * rng.standard_normal(GRID_WIDTH)).astype(np.float32)
    appearance[..., :GRID_WIDTH] = appearance[..., :GRID_WIDTH] + step
    return {**features, "appearance": appearance}


def light(sample: Sample, features: Features, rng: np.random.Generator) -> Features:
    """Brightness of another contrast and level, the same in every frame."""
    luma = features.get("luma")
    if luma is None:
        raise InputError(f"the augmentation light needs the stream luma, got {sorted(features)}")
    gain, level = rng.uniform(0.7, 1.3), rng.uniform(-0.1, 0.1)
    return {**features, "luma": (luma.astype(np.float32) * gain + level).astype(luma.dtype)}


def _appearance(features: Features) -> NDArray[Any]:
    found = features.get("appearance")
    if found is None or found.shape[-1] <= GRID_WIDTH:
        raise InputError(f"augmentations of the grid need the default's stream appearance, got {sorted(features)}")
    return found


FEATURE_AUGMENTATIONS: dict[str, Augmentation] = {
    "grid_noise": grid_noise,
    "light": light,
}


class FeatureAugmentations(Augmentations):
    """Augmentations of cached features."""

    what = "augmentations of cached features"
    known = FEATURE_AUGMENTATIONS
