"""Drawn clips as the items of streams that selective decoding is measured on."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vljepa_edge.evaluation.selective.camera import SIDE
from vljepa_edge.evaluation.selective.items import Item, is_for_tuning
from vljepa_edge.training.tiny import assets
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.cutouts import held_out, load_backgrounds, load_cutouts
from vljepa_edge.training.tiny.drawn import GROUPS, PAIRS
from vljepa_edge.training.tiny.scenes import BACKGROUND, FPS, Painter, random_scene
from vljepa_edge.video.preprocess import resize

_STAY = 0.75  # how likely the next clip plays in the same place
_COUNT = 200  # clips of a stream, more than it shows


class Place(Painter):
    """Draws before one background, which the seed chooses."""

    def __init__(self, other: Painter, seed: str) -> None:
        super().__init__(other.cutouts, other.backgrounds)
        self._seed = seed

    def background(self, rng: random.Random, size: int = BACKGROUND) -> Image.Image:
        return super().background(random.Random(self._seed), size)


@dataclass(frozen=True)
class _Clip:
    painter: Painter = field(repr=False)
    scene: Scene
    seed: str
    captions: tuple[str, ...]

    def frames(self, fps: float) -> NDArray[np.uint8]:
        drawn = self.painter.draw(self.scene, random.Random(self.seed))
        count = max(1, round(len(drawn) * fps / FPS))
        chosen = drawn[np.minimum((np.arange(count) * FPS / fps).astype(int), len(drawn) - 1)]
        return np.stack([resize(frame, SIDE, SIDE, "cover") for frame in chosen])


def drawn_items(rng: random.Random, tuning: bool) -> tuple[list[Item], str]:
    """Cut-outs of objects that the default model never saw, moving over photographs that it never saw.

    One clip follows another in the same place, most of the time: what happens changes, and the picture doesn't. See
    evaluation.selective.items.MakeItems. The first use fetches the pinned packages of pictures.
    """
    cutouts = load_cutouts(assets.stamps_dir())
    names = [name for name in sorted(held_out(cutouts)) if is_for_tuning(name, 0.5) == tuning]
    painter = Painter(cutouts, load_backgrounds(assets.background_dirs(), test=True))
    items: list[Item] = []
    place = painter
    for number in range(_COUNT):
        if not number or rng.random() < 1 - _STAY:
            place = Place(painter, f"{rng.random()}")
        scene = random_scene(rng, names, pairs=PAIRS, groups=GROUPS)
        items.append(_Clip(place, scene, f"{rng.random()}", tuple(say.captions(scene))))
    return items, hashlib.sha256("\0".join(names).encode()).hexdigest()
