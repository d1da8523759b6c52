"""Every number of a training run, read from a YAML file of `configs/`; what it leaves out keeps its default below."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vljepa_edge.errors import InputError


@dataclass(frozen=True)
class DataRecipe:
    """How many clips of each kind are drawn, and shares of them."""

    train_clips: int = 14_000
    motion_clips: int = 30_000
    photo_crops: int = 1_200
    test_clips: int = 660
    pairs: float = 0.2
    groups: float = 0.2
    moving_camera: float = 0.25


@dataclass(frozen=True)
class MotionRecipe:
    """The motion stem's own training: motions and counts as classes. `groups`: share of its clips that show two or
    three of a kind; `count_weight`: of the loss of counts beside that of motions."""

    width: int = 32
    groups: float = 0.3
    count_weight: float = 1.0
    epochs: int = 3
    batch: int = 64
    lr: float = 4e-3


@dataclass(frozen=True)
class PredictorRecipe:
    """The predictor's body: 'scratch' with these sizes, or 'smollm2', SmolLM2-135M's last `layers` layers.

    `concept_trust`: how much of the concepts' plain mean the finished predictor reads out beside what training made of
    them. Training fits the predictor to the objects that it is shown; the plain mean knows those that it is not.
    """

    body: str = "scratch"
    hidden: int = 256
    layers: int = 3
    heads: int = 4
    ffn: int = 704
    dropout: float = 0.0
    concept_trust: float = 0.25


@dataclass(frozen=True)
class StageRecipe:
    """One stage of predictor training. Learning rates of parts are multiples of `lr`.

    `image_share`: clips shown as one frame duplicated. `rename_share`: clips whose concept is replaced by another
    word's. `hide_grid_share`: clips whose grid features are zeroed so that the concept has to name the object.
    """

    steps: int
    batch: int = 128
    lr: float = 1.2e-3
    cosine: bool = False
    warmup: int = 60
    y_encoder_lr: float = 0.05
    motion_lr: float = 0.25
    body_lr: float = 1.0
    weight_decay: float = 0.05
    image_share: float = 0.15
    photo_share: float = 0.04
    rename_share: float = 0.3
    hide_grid_share: float = 0.3
    question_share: float = 0.0
    hard_negatives: int = 14


@dataclass(frozen=True)
class DecoderRecipe:
    """The Y-decoder, trained on text alone, with a share of predicted embeddings so that it knows their noise: those of
    all clips, and of at least `renamed` with another word's concept."""

    hidden: int = 256
    layers: int = 4
    steps: int = 3_000
    batch: int = 192
    lr: float = 1e-3
    noise: float = 0.6
    predicted_share: float = 0.3
    renamed: int = 8_000


@dataclass(frozen=True)
class Recipe:
    """A whole run."""

    name: str
    seed: int
    images: StageRecipe
    clips: StageRecipe
    sft: StageRecipe
    data: DataRecipe = DataRecipe()
    motion: MotionRecipe = MotionRecipe()
    predictor: PredictorRecipe = PredictorRecipe()
    decoder: DecoderRecipe = DecoderRecipe()


def load_recipe(path: Path) -> Recipe:
    """Raises InputError naming the file and the key when it can't be read, a key is unknown or a needed one missing."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: can't be read as YAML: {error}") from error
    if not isinstance(raw, dict):
        raise InputError(f"{path}: must hold keys and values, not {type(raw).__name__}")
    parts = {
        "data": DataRecipe, "motion": MotionRecipe, "predictor": PredictorRecipe, "images": StageRecipe,
        "clips": StageRecipe, "sft": StageRecipe, "decoder": DecoderRecipe,
    }  # fmt: skip
    made: dict[str, Any] = {}
    for key, value in raw.items():
        made[key] = _filled(path, parts[key], value, key) if key in parts else value
    recipe: Recipe = _filled(path, Recipe, made, "")
    return recipe


def _filled(path: Path, kind: Any, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise InputError(f"{path}: {where} must hold keys and values, not {values!r}")
    legal = {field.name for field in dataclasses.fields(kind)}
    for key in values:
        if key not in legal:
            raise InputError(
                f"{path}: unknown key {where + '.' if where else ''}{key}; legal keys: {', '.join(sorted(legal))}"
            )
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError(f"{path}: {error}") from error
