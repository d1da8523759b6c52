"""Changes of pixels that leave the text true, by name. What changes a clip is drawn by its place in the run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError
from vljepa_edge.training.data.sample import Sample

Clip = NDArray[np.uint8]

# Words that a mirror makes false: sides, turns, and what is written in the picture.
_SIDED = re.compile(
    r"\b(left|right|leftmost|rightmost|leftward|rightward|leftwards|rightwards|clockwise|anti-?clockwise|"
    r"counter-?clockwise|east|west|eastern|western|text|letters?|words?|written|writes?|writing|reads?|says|sign|number)\b",
    re.IGNORECASE,
)


def mirror(sample: Sample, clip: Clip, rng: np.random.Generator) -> Clip:
    """Left for right, every second time, unless a text of the sample speaks of sides or of writing."""
    texts: Sequence[str] = (sample.target, sample.query, *sample.also, *sample.negatives, sample.text_key or "")
    if rng.random() >= 0.5 or any(map(_SIDED.search, texts)):
        return clip
    return np.ascontiguousarray(clip[:, :, ::-1])


def brightness(sample: Sample, clip: Clip, rng: np.random.Generator) -> Clip:
    """All frames lighter or darker by up to a fifth, and of more or less contrast."""
    gain, shift = rng.uniform(0.8, 1.2), rng.uniform(-25, 25)
    levels = np.clip((np.arange(256) - 128) * gain + 128 + shift, 0, 255).astype(np.uint8)
    changed: Clip = levels[clip]
    return changed


Augmentation = Callable[[Sample, Any, np.random.Generator], Any]
"""A sample, its clip or its cached features, and what draws, to the changed clip or features."""

AUGMENTATIONS: dict[str, Augmentation] = {
    "mirror": mirror,
    "brightness": brightness,
}


@dataclass(frozen=True)
class Augmentations:
    """Augmentations by name, one after another. Can be sent to workers.

    names: of `known`. Each draws numbers of its own, so that adding one changes no other.
    """

    names: tuple[str, ...]
    what: ClassVar[str] = "augmentations"
    known: ClassVar[Mapping[str, Augmentation]] = AUGMENTATIONS

    def __post_init__(self) -> None:
        unknown = [name for name in self.names if name not in self.known]
        if unknown:
            raise InputError(f"{self.what} must be of {', '.join(self.known)}, got {', '.join(unknown)}")

    def __call__(self, sample: Sample, seen: Any, draw: int) -> Any:
        """A clip, uint8 (T, H, W, 3), or cached features by name, changed, of the same shapes. draw: 64 random bits."""
        for name in self.names:
            seen = self.known[name](sample, seen, np.random.default_rng([draw, *name.encode()]))
        return seen
