"""Stand-ins for the parts that training freezes: a sentence encoder without weights, features without pictures."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from tests.training.tiny_bert import bert
from vljepa_edge.nn.tiny_streams import CONCEPT_WIDTH, GRID_WIDTH, LUMA_SIZE, REGIONS
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.model import new_model
from vljepa_edge.training.tiny.recipe import MotionRecipe, PredictorRecipe, Recipe
from vljepa_edge.training.tiny.renaming import Concepts

NAMES = ["owl", "red fox", "umbrella", "teapot", "zebra", "kite", "lemon", "anchor", "piano", "tractor"]
CLASSES = [
    "tabby",
    "beagle",
    "lorry",
    "violin",
    "acorn",
    "canoe",
    "lipstick",
    "mosque",
    "pretzel",
    "quill",
    "yurt",
    "abacus",
]
NOUNS = ["blacksmith", "dragonfruit", "turnip"]


def vector(text: str, width: int = CONCEPT_WIDTH) -> Tensor:
    """A unit vector of `width` numbers that the text alone decides."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return F.normalize(torch.from_numpy(np.random.default_rng(seed).normal(size=width)).float(), dim=0)


class FakeEncoder:
    """A sentence encoder that hashes: equal texts and words get equal vectors, others get unrelated ones."""

    def __init__(self, width: int = CONCEPT_WIDTH) -> None:
        self.model = SimpleNamespace(config=SimpleNamespace(hidden_size=width))
        self.width = width
        self.asked: list[str] = []
        self.batches: list[list[str]] = []

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        rows = [[vector(word, self.width) for word in text.split()] for text in texts]
        states = torch.full(
            (len(rows), max(map(len, rows)), self.width), 7.0
        )  # padding holds garbage, as real states do
        mask = torch.zeros(states.shape[:2], dtype=torch.long)
        for i, row in enumerate(rows):
            states[i, : len(row)], mask[i, : len(row)] = torch.stack(row), 1
        return states, mask

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def sentences(self, texts: Sequence[str]) -> Tensor:
        self.batches.append(list(texts))
        self.asked.extend(texts)
        return torch.stack([vector(text, self.width) for text in texts])


def blobs(scene: Scene) -> NDArray[np.uint8]:
    """Brightness (8, 56, 56) of bright squares that do what the scene says."""
    frames = np.full((8, LUMA_SIZE, LUMA_SIZE), 60, np.uint8)
    direction = scene.motion.removesuffix("_while")
    dx, dy = {"left": (-3, 0), "right": (3, 0), "up": (0, -3), "down": (0, 3)}.get(direction, (0, 0))
    starts = [(28 - 3.5 * dx, 28 - 3.5 * dy)]
    speeds = [(dx, dy)]
    if scene.count > 1:
        starts = [
            (x + (k - 1) * 14 * (dx == 0), y + (k - 1) * 14 * (dx != 0)) for k in range(scene.count) for x, y in starts
        ]
        speeds *= scene.count
    elif scene.motion.endswith("_while"):
        starts, speeds = [*starts, (8, 8)], [*speeds, (0, 0)]
    elif scene.motion in ("approach", "apart"):
        sign = 1 if scene.motion == "approach" else -1
        starts, speeds = [(16 + 4 * (sign < 0), 28), (40 - 4 * (sign < 0), 28)], [(sign, 0), (-sign, 0)]
    for t in range(8):
        visible = {"appear": t >= 4, "vanish": t < 4}.get(scene.motion, True)
        side = {"grow": 3 + t, "shrink": 10 - t}.get(scene.motion, 4)
        for (x, y), (vx, vy) in zip(starts, speeds, strict=True):
            if visible:
                left, top = round(x + vx * t - side / 2), round(y + vy * t - side / 2)
                frames[t, max(0, top) : top + side, max(0, left) : left + side] = 200
    return frames


def fake_features(scene: Scene) -> dict[str, NDArray[Any]]:
    """Features as a cache holds them. The concept says which object it is, in every region, strongest in the window
    that the blobs are in; the looks are 5 everywhere."""
    light = blobs(scene)
    appearance = np.full((8, REGIONS, GRID_WIDTH + CONCEPT_WIDTH), 5, np.float16)
    concept = 0.3 * vector(scene.name).numpy()
    appearance[:, :, GRID_WIDTH:] = concept
    for t in range(8):
        ys, xs = np.nonzero(light[t] > 100)
        if len(xs):
            window = 1 + 3 * min(2, int(ys.mean()) * 3 // LUMA_SIZE) + min(2, int(xs.mean()) * 3 // LUMA_SIZE)
            appearance[t, window, GRID_WIDTH:] = 3 * concept
    return {"appearance": appearance, "luma": (light / np.float32(255)).astype(np.float16)}


def fake_concepts() -> Concepts:
    words = [*CLASSES, *NOUNS]
    vectors = torch.stack([vector(f"a word: {word}") for word in words])
    return Concepts.build(words, vectors, CLASSES, vectors[: len(CLASSES)])


def has_word(text: str, word: str) -> bool:
    return re.search(rf"\b{re.escape(word.lower())}\b", text.lower()) is not None


def cutout(colour: tuple[int, int, int], width: int = 120, height: int = 100) -> Image.Image:
    """A plain ellipse of one colour on nothing."""
    picture = Image.new("RGBA", (width, height))
    ImageDraw.Draw(picture).ellipse((0, 0, width - 1, height - 1), fill=(*colour, 255))
    return picture


def grey_background(level: int = 90) -> list[list[Image.Image]]:
    return [[Image.new("RGB", (360, 340), (level, level, level))]]


def small_model() -> VLJepa:
    """Untrained, the same in every call. For kept features: its image network has random weights."""
    torch.manual_seed(0)
    predictor = PredictorRecipe(hidden=32, layers=1, heads=2, ffn=48)
    recipe = Recipe(name="small", motion=MotionRecipe(width=4), predictor=predictor)
    return new_model(recipe, bert(40, CONCEPT_WIDTH))
