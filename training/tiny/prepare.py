"""What the default's run starts from, made once in a work folder: frozen parts, and what is fitted to drawn clips."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.progress import Progress
from safetensors.torch import load_file
from torch.nn import functional

from vljepa_edge.errors import InputError
from vljepa_edge.nn.digest import digest_of
from vljepa_edge.nn.efficientnet import EfficientNetLite0
from vljepa_edge.nn.tiny_streams import AppearanceStream
from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.data.cache import FeatureCache
from vljepa_edge.training.data.fill import fill
from vljepa_edge.training.frame_encoder import FrameEncoder
from vljepa_edge.training.tiny import assets, captions, vocabulary
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.cutouts import held_out, load_backgrounds, load_cutouts
from vljepa_edge.training.tiny.drawn import GROUPS, MOVING, PAIRS, DrawnClips
from vljepa_edge.training.tiny.features import draw_luma, fit_projection, save_tensors
from vljepa_edge.training.tiny.recipe import Recipe
from vljepa_edge.training.tiny.renaming import Concepts
from vljepa_edge.training.tiny.scenes import FRAMES, SIZE, Painter, random_scene
from vljepa_edge.training.tiny.texts import SentenceBank, SentenceEncoder
from vljepa_edge.video.stretch import FramePlan

FEATURES = "features"
"""In the work folder: what the frozen encoder makes of clips, which the run reads too."""
_PROJECTION_FRAMES = 320
_RENAMING_NOUNS = 1_000
TRAIN_SEED = 1
_SEEDS = {"train": TRAIN_SEED, "motion": 2, "projection": 4, "held": 104}
"""Offsets of the seeds of each split. Test clips come from seeds used for nothing else."""


@dataclass
class Workshop:
    """The work folder and what lies in it, each made on first use."""

    recipe: Recipe
    folder: Path

    def __post_init__(self) -> None:
        """Raises InputError when the folder holds the run of another recipe, whose parts would be mistaken for ours."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file, recipe = self.folder / "recipe.json", json.dumps(self.recipe.model_dump(), indent=1)
        if file.exists() and file.read_text() != recipe:
            raise InputError(f"{self.folder} holds the run of another recipe (see its recipe.json); choose another")
        with replacing(file) as part:
            part.write_text(recipe)

    @cached_property
    def cutouts(self) -> dict[str, list[Image.Image]]:
        return load_cutouts(assets.stamps_dir())

    @cached_property
    def held_names(self) -> list[str]:
        return sorted(held_out(self.cutouts))

    @cached_property
    def seen_names(self) -> list[str]:
        return [name for name in self.cutouts if name not in set(self.held_names)]

    def painter(self, test: bool, moving: float = 0.0) -> Painter:
        return Painter(self.cutouts, load_backgrounds(assets.background_dirs(), test), moving)

    @cached_property
    def sentence_encoder(self) -> SentenceEncoder:
        return SentenceEncoder(assets.minilm_dir())

    @cached_property
    def sentences(self) -> SentenceBank:
        return SentenceBank(self.folder, self.sentence_encoder)

    @cached_property
    def class_vectors(self) -> torch.Tensor:
        """(1000, 384) unit rows: the mean sentence embedding of 'A tabby.' and what else a class is called."""
        texts = [[captions.object_captions(name)[0] for name in names] for names in vocabulary.imagenet_names()]
        self.sentences.add((text for own in texts for text in own), "class names")
        return functional.normalize(torch.stack([self.sentences(own).mean(0) for own in texts]), dim=-1)

    @cached_property
    def appearance_stream(self) -> AppearanceStream:
        net = EfficientNetLite0.from_checkpoint(assets.efficientnet_lite0_weights())
        file = self.folder / "projection.safetensors"
        if not file.exists():
            painter, rng = self.painter(test=False), random.Random(_SEEDS["projection"])
            frames = np.stack(
                [
                    painter.draw(random_scene(rng, self.seen_names, pairs=PAIRS, groups=GROUPS), rng)[0]
                    for _ in range(_PROJECTION_FRAMES)
                ]
            )
            mean, projection = fit_projection(net, frames)
            save_tensors({"mean": mean, "projection": projection}, file)
        fitted = load_file(file)
        return AppearanceStream(net, fitted["mean"], fitted["projection"], self.class_vectors).eval()

    def train_luma(self) -> tuple[NDArray[np.uint8], list[Scene]]:
        """Brightness (n, 8, 56, 56) of the run's drawn clips, and what they show. Fills the run's features."""
        source = DrawnClips(self.recipe.data.train_clips, self._seed("train"))
        plan = FramePlan(FRAMES, SIZE, SIZE)
        cache = FeatureCache(self.folder / FEATURES, digest_of(self.appearance_stream), plan)
        encode = FrameEncoder(self.appearance_stream, FRAMES)
        with Progress() as bar:
            task = bar.add_task("drawing and encoding clips", total=None)
            fill(
                cache, source, plan, encode,
                on_step=lambda _, done, total: bar.update(task, completed=done, total=total),
            )  # fmt: skip
        kept = [cache.read(source[i])["luma"] for i in range(len(source))]
        return np.rint(np.stack(kept).astype(np.float32) * 255.0).astype(np.uint8), source.scenes

    def motion_luma(self) -> tuple[NDArray[np.uint8], list[Scene]]:
        """Brightness of clips that are drawn for the motion stem alone, and what they show."""
        return self._luma("motion", self.recipe.data.motion_clips, self.seen_names, MOVING)

    def held_luma(self) -> tuple[NDArray[np.uint8], list[Scene]]:
        """Brightness of clips of objects and over backgrounds never trained on."""
        return self._luma("held", self.recipe.data.test_clips, self.held_names, 0.0)

    def _luma(self, split: str, count: int, names: list[str], moving: float) -> tuple[NDArray[np.uint8], list[Scene]]:
        seed, test = self._seed(split), split == "held"
        rng = random.Random(seed)
        groups = 0.5 if test else self.recipe.motion.groups
        scenes = [random_scene(rng, names, pairs=0.0 if test else PAIRS, groups=groups) for _ in range(count)]
        return draw_luma(self.folder / f"{split}.luma.npy", scenes, self.painter(test, moving), seed), scenes

    def _seed(self, split: str) -> int:
        return 1000 * self.recipe.seed + _SEEDS[split]

    @cached_property
    def concepts(self) -> Concepts:
        """Words to rename objects to: the ImageNet classes and everyday nouns, without the held-out names."""
        held = {name.lower() for name in self.held_names}
        labels = assets.imagenet_labels()
        nouns = vocabulary.nouns()
        chosen = random.Random(0).sample(nouns, min(_RENAMING_NOUNS, len(nouns)))
        words = [w for w in dict.fromkeys([*labels, *sorted(chosen)]) if w.lower() not in held]
        texts = [captions.object_captions(word)[0] for word in words]
        self.sentences.add(texts, "nouns")
        return Concepts.build(words, self.sentences(texts), labels, self.class_vectors)
