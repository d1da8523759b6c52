"""Changes of cached features that leave the text true, by name. What changes a sample is drawn by its place in the run.

They are of the default's streams (see nn/tiny_streams.py): a picture that is made lighter or noisy would have to go
through the frozen encoder again; its features need not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError
from vljepa_edge.nn.tiny_streams import GRID_WIDTH

Features = dict[str, NDArray[Any]]

_NOISE = 0.3


@dataclass(frozen=True)
class FeatureAugmentations:
    """Augmentations by name, one after another. Can be sent to workers.

    names: of `FEATURE_AUGMENTATIONS`. Each draws numbers of its own, so that adding one changes no other.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        unknown = [name for name in self.names if name not in FEATURE_AUGMENTATIONS]
        if unknown:
            raise InputError(
                f"augmentations of cached features must be of {', '.join(FEATURE_AUGMENTATIONS)}, "
                f"got {', '.join(unknown)}"
            )

    def __call__(self, features: Mapping[str, NDArray[Any]], draw: int) -> Features:
        """Features of the same shapes. draw: 64 random bits."""
        found = dict(features)
        for name in self.names:
            found = FEATURE_AUGMENTATIONS[name](found, np.random.default_rng([draw, *name.encode()]))
        return found


def grid_noise(features: Features, rng: np.random.Generator) -> Features:
    """Looks moved by one random step, the same in every frame and region."""
    appearance = _appearance(features).copy()
    step = (_NOISE * rng.standard_normal(GRID_WIDTH)).astype(np.float32)
    appearance[..., :GRID_WIDTH] = appearance[..., :GRID_WIDTH] + step
    return features | {"appearance": appearance}


def light(features: Features, rng: np.random.Generator) -> Features:
    """Brightness of another contrast and level, the same in every frame."""
    luma = features.get("luma")
    if luma is None:
        raise InputError(f"the augmentation light needs the stream luma, got {sorted(features)}")
    gain, level = rng.uniform(0.7, 1.3), rng.uniform(-0.1, 0.1)
    return features | {"luma": (luma.astype(np.float32) * gain + level).astype(luma.dtype)}


def _appearance(features: Features) -> NDArray[Any]:
    found = features.get("appearance")
    if found is None or found.shape[-1] <= GRID_WIDTH:
        raise InputError(f"augmentations of the grid need the default's stream appearance, got {sorted(features)}")
    return found


FEATURE_AUGMENTATIONS: dict[str, Callable[[Features, np.random.Generator], Features]] = {
    "grid_noise": grid_noise,
    "light": light,
}
