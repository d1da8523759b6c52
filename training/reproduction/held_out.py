"""Objects and photographs that no default was trained on, to draw test clips with."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vljepa_edge.training.tiny import assets
from vljepa_edge.training.tiny.cutouts import held_out, load_backgrounds, load_cutouts
from vljepa_edge.training.tiny.scenes import FRAMES, Item, Painter


class HeldOut(NamedTuple):
    """painter: of the held-out photographs, and of all objects; names: of the held-out objects."""

    painter: Painter
    names: list[str]


def load() -> HeldOut:
    """The first use fetches the pinned packages of pictures. Raises AssetError where that is impossible."""
    cutouts = load_cutouts(assets.stamps_dir())
    return HeldOut(Painter(cutouts, load_backgrounds(assets.background_dirs(), test=True)), sorted(held_out(cutouts)))


def paste(background: Image.Image, items: Sequence[Item]) -> NDArray[np.uint8]:
    """A clip (8, side, side, 3) before a camera that stands still."""
    frames = []
    for number in range(FRAMES):
        frame = background.copy()
        for item in items:
            item.paste(frame, number)
        frames.append(np.asarray(frame))
    return np.stack(frames)


def another(names: Sequence[str], name: str, rng: random.Random) -> str:
    """Another name."""
    return rng.choice([one for one in names if one != name])
