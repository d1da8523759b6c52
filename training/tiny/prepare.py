"""Everything that training reads, made once in a work folder: frozen parts, drawn and encoded clips, embedded texts."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional

from vljepa_edge.errors import InputError
from vljepa_edge.nn.efficientnet import EfficientNetLite0
from vljepa_edge.nn.tiny_streams import AppearanceStream
from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.tiny import assets, captions, vocabulary
from vljepa_edge.training.tiny.batches import all_wordings
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.checkpoint import save_tensors
from vljepa_edge.training.tiny.cutouts import held_out, load_backgrounds, load_cutouts
from vljepa_edge.training.tiny.features import Clips, FrameEncoder, draw_luma, drawn, encode_clips, fit_projection
from vljepa_edge.training.tiny.recipe import Recipe
from vljepa_edge.training.tiny.renaming import Concepts
from vljepa_edge.training.tiny.scenes import FRAMES, SIZE, Painter, random_scene
from vljepa_edge.training.tiny.texts import QueryBank, SentenceBank, SentenceEncoder

_PROJECTION_FRAMES = 320
_PHOTO_CONFIDENCE = 0.35
_RENAMING_NOUNS = 1_000
SEEDS = {
    "train": 1,
    "motion": 2,
    "photos": 3,
    "projection": 4,
    "seen": 101,
    "held": 102,
    "seen_asked": 103,
    "held_asked": 104,
}
"""Offsets of the seeds of each split. Test clips come from seeds used for nothing else."""


@dataclass
class Workshop:
    """The work folder and what lies in it, each made on first use."""

    recipe: Recipe
    folder: Path

    def __post_init__(self) -> None:
        """Raises InputError when the folder holds the run of another recipe, whose parts would be mistaken for ours."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file, recipe = self.folder / "recipe.json", json.dumps(asdict(self.recipe), indent=1)
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
    def queries(self) -> QueryBank:
        return QueryBank(self.sentence_encoder)

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
            painter, rng = self.painter(test=False), random.Random(SEEDS["projection"])
            frames = np.stack(
                [
                    painter.draw(random_scene(rng, self.seen_names, pairs=0.2, groups=0.2), rng)[0]
                    for _ in range(_PROJECTION_FRAMES)
                ]
            )
            mean, projection = fit_projection(net, frames)
            save_tensors({"mean": mean, "projection": projection}, file)
        fitted = load_file(file)
        return AppearanceStream(net, fitted["mean"], fitted["projection"], self.class_vectors).eval()

    @cached_property
    def frame_encoder(self) -> FrameEncoder:
        return FrameEncoder(self.appearance_stream, self.folder)

    def _scenes(
        self, split: str, count: int, names: Sequence[str], pairs: float, groups: float
    ) -> tuple[list[Scene], int]:
        seed = 1000 * self.recipe.seed + SEEDS[split]
        rng = random.Random(seed)
        return [random_scene(rng, names, pairs=pairs, groups=groups) for _ in range(count)], seed

    @cached_property
    def train(self) -> Clips:
        data = self.recipe.data
        scenes, seed = self._scenes("train", data.train_clips, self.seen_names, data.pairs, data.groups)
        painter = self.painter(test=False, moving=data.moving_camera)
        frames_of = drawn(painter.draw, scenes, seed)
        return encode_clips(self.folder, "train", scenes, frames_of, self.frame_encoder, seed)

    def test(self, split: str) -> Clips:
        """Clips over backgrounds never trained on. `seen` and `held`: each of the eleven motions equally often, one
        object. `seen_asked` and `held_asked`: groups too, for questions."""
        names = self.seen_names if split.startswith("seen") else self.held_names
        count = self.recipe.data.test_clips
        groups = 0.5 if split.endswith("asked") else 0.0
        scenes, seed = self._scenes(split, count, names, 0.0, groups)
        if not groups:
            scenes = [Scene(captions.ONE[i % len(captions.ONE)], scene.name) for i, scene in enumerate(scenes)]
        frames_of = drawn(self.painter(test=True).draw, scenes, seed)
        return encode_clips(self.folder, split, scenes, frames_of, self.frame_encoder, seed)

    @cached_property
    def motion_clips(self) -> tuple[NDArray[np.uint8], list[Scene]]:
        data = self.recipe.data
        scenes, seed = self._scenes("motion", data.motion_clips, self.seen_names, data.pairs, self.recipe.motion.groups)
        return draw_luma(self.folder, scenes, self.painter(test=False, moving=data.moving_camera), seed), scenes

    @cached_property
    def photos(self) -> Clips | None:
        """Crops of real photographs whose class the frozen network is sure of, as one frame duplicated; None if it is
        sure of none."""
        painter, seed = self.painter(test=False), SEEDS["photos"]
        crops = [_still(painter, random.Random(f"{seed}/{i}")) for i in range(self.recipe.data.photo_crops)]
        labels, wanted, scenes = assets.imagenet_labels(), [], []
        held = {name.lower() for name in self.held_names}
        with torch.inference_mode():
            for crop in crops:
                pixels = torch.from_numpy(crop[None].copy()).permute(0, 3, 1, 2).float()
                chance, label = (
                    self.appearance_stream.net.classify(self.appearance_stream.net(pixels).mean((2, 3)))
                    .softmax(-1)[0]
                    .max(-1)
                )
                if chance > _PHOTO_CONFIDENCE and labels[int(label)].lower() not in held:
                    wanted.append(crop)
                    scenes.append(Scene("still", labels[int(label)]))
        if not wanted:
            return None
        stills = [np.repeat(crop[None], FRAMES, 0) for crop in wanted]
        return encode_clips(self.folder, "photos", scenes, stills.__getitem__, self.frame_encoder, seed)

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

    def embed_wordings(self) -> None:
        self.sentences.add(all_wordings(self.train, self.concepts, self.seen_names), "captions")


def _still(painter: Painter, rng: random.Random) -> NDArray[np.uint8]:
    return np.asarray(painter.background(rng, SIZE))
