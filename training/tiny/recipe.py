"""Every number of a training run, read from a YAML file of `configs/`; what it leaves out keeps its default below.

A recipe can't be made with a value that a later step would fail at: each field has a type and a range.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vljepa_edge.errors import InputError
from vljepa_edge.training.yaml12 import read_yaml


@dataclass(frozen=True)
class _Range:
    """What a field may hold. `above`: `least` itself is too little; `below`: `most` itself is too much."""

    kind: type
    least: float = 0
    most: float = math.inf
    above: bool = False
    below: bool = False

    def holds(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.kind is int else (int, float)):
            return False
        enough = value > self.least if self.above else value >= self.least
        return math.isfinite(value) and enough and (value < self.most if self.below else value <= self.most)

    def __str__(self) -> str:
        what = "an integer" if self.kind is int else "a number"
        if self.most < math.inf:
            return f"{what} from {self.least} to {'below ' * self.below}{self.most}"
        return f"{what} above {self.least}" if self.above else f"{what} of at least {self.least}"


@dataclass(frozen=True)
class _Choice:
    """One of a few values."""

    values: tuple[object, ...]

    def holds(self, value: object) -> bool:
        return any(value is one or (isinstance(value, str) and value == one) for one in self.values)

    def __str__(self) -> str:
        return " or ".join(str(value).lower() if isinstance(value, bool) else str(value) for value in self.values)


@dataclass(frozen=True)
class _Name:
    """A name that a folder can have."""

    def holds(self, value: object) -> bool:
        return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value) is not None

    def __str__(self) -> str:
        return "a name of at most 100 letters, digits, '.', '_' and '-', beginning with a letter or digit"


def _rule(rule: object) -> dict[str, object]:
    return {"rule": rule}


def _held(rule: object, default: Any) -> Any:
    return field(default=default, metadata=_rule(rule))


def _count(default: int, least: int = 1) -> Any:
    return _held(_Range(int, least), default)


def _amount(default: float) -> Any:
    return _held(_Range(float), default)


def _rate(default: float) -> Any:
    return _held(_Range(float, above=True), default)


def _share(default: float) -> Any:
    return _held(_Range(float, most=1), default)


class _Checked:
    """A dataclass whose fields hold to their rules. Raises InputError: "lr must be a number above 0, got 'fast'"."""

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):  # type: ignore[arg-type]
            rule, value = one.metadata.get("rule"), getattr(self, one.name)
            if rule is not None and not rule.holds(value):
                raise InputError(f"{one.name} must be {rule}, got {value!r}")


@dataclass(frozen=True)
class DataRecipe(_Checked):
    """How many clips of each kind are drawn, and shares of them."""

    train_clips: int = _count(14_000)
    motion_clips: int = _count(30_000)
    photo_crops: int = _count(1_200, least=0)
    test_clips: int = _count(660, least=66)
    pairs: float = _share(0.2)
    groups: float = _share(0.2)
    moving_camera: float = _share(0.25)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pairs + self.groups > 1:
            raise InputError(f"pairs and groups must be 1 together at most, got {self.pairs} and {self.groups}")


@dataclass(frozen=True)
class MotionRecipe(_Checked):
    """The motion stem's own training: motions and counts as classes. `groups`: share of its clips that show two or
    three of a kind; `count_weight`: of the loss of counts beside that of motions."""

    width: int = _count(32, least=2)
    groups: float = _share(0.3)
    count_weight: float = _amount(1.0)
    epochs: int = _count(3)
    batch: int = _count(64)
    lr: float = _rate(4e-3)


_SMOLLM2_LAYERS = 30


@dataclass(frozen=True)
class PredictorRecipe(_Checked):
    """The predictor's body: 'scratch' with these sizes, or 'smollm2', SmolLM2-135M's last `layers` layers.

    `concept_trust`: how much of the concepts' plain mean the finished predictor reads out beside what training made of
    them. Training fits the predictor to the objects that it is shown; the plain mean knows those that it is not.
    """

    body: str = _held(_Choice(("scratch", "smollm2")), "scratch")
    hidden: int = _count(256, least=2)
    layers: int = _count(3)
    heads: int = _count(4)
    ffn: int = _count(704)
    dropout: float = _held(_Range(float, most=1, below=True), 0.0)
    concept_trust: float = _amount(0.25)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden % (2 * self.heads):
            raise InputError(f"hidden must be a multiple of 2 x heads ({2 * self.heads}), got {self.hidden}")
        if self.body == "smollm2" and self.layers > _SMOLLM2_LAYERS:
            raise InputError(f"layers must be at most {_SMOLLM2_LAYERS} with the body smollm2, got {self.layers}")


@dataclass(frozen=True)
class StageRecipe(_Checked):
    """One stage of predictor training. Learning rates of parts are multiples of `lr`.

    `image_share`: clips shown as one frame duplicated. `rename_share`: clips whose concept is replaced by another
    word's. `hide_grid_share`: clips whose grid features are zeroed so that the concept has to name the object.
    """

    steps: int = field(metadata=_rule(_Range(int)))
    batch: int = _count(128, least=2)
    lr: float = _rate(1.2e-3)
    cosine: bool = _held(_Choice((False, True)), False)
    warmup: int = _count(60, least=0)
    y_encoder_lr: float = _amount(0.05)
    motion_lr: float = _amount(0.25)
    body_lr: float = _amount(1.0)
    weight_decay: float = _amount(0.05)
    image_share: float = _share(0.15)
    photo_share: float = _share(0.04)
    rename_share: float = _share(0.3)
    hide_grid_share: float = _share(0.3)
    question_share: float = _share(0.0)
    hard_negatives: int = _count(14, least=0)


@dataclass(frozen=True)
class DecoderRecipe(_Checked):
    """The Y-decoder, trained on text alone, with a share of predicted embeddings so that it knows their noise: those of
    all clips, and of at least `renamed` with another word's concept."""

    hidden: int = _count(256, least=64)
    layers: int = _count(4)
    steps: int = _count(3_000)
    batch: int = _count(192)
    lr: float = _rate(1e-3)
    noise: float = _amount(0.6)
    predicted_share: float = _share(0.3)
    renamed: int = _count(8_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden % 64:
            raise InputError(f"hidden must be a multiple of 64, the width of a head, got {self.hidden}")


@dataclass(frozen=True)
class Recipe(_Checked):
    """All of a run."""

    name: str = field(metadata=_rule(_Name()))
    seed: int = field(metadata=_rule(_Range(int, most=2**32 - 1)))
    images: StageRecipe
    clips: StageRecipe
    sft: StageRecipe
    data: DataRecipe = DataRecipe()
    motion: MotionRecipe = MotionRecipe()
    predictor: PredictorRecipe = PredictorRecipe()
    decoder: DecoderRecipe = DecoderRecipe()

    def __post_init__(self) -> None:
        super().__post_init__()
        clips = self.data.motion_clips + self.data.train_clips
        if self.motion.batch > clips:
            raise InputError(f"motion.batch must be at most the {clips} clips to train on, got {self.motion.batch}")


_PARTS = {
    "data": DataRecipe, "motion": MotionRecipe, "predictor": PredictorRecipe, "images": StageRecipe,
    "clips": StageRecipe, "sft": StageRecipe, "decoder": DecoderRecipe,
}  # fmt: skip


def load_recipe(path: Path) -> Recipe:
    """Raises InputError naming the file and the key when it can't be read, a key is unknown or given twice, a needed
    one is missing, or a value has another type or is out of range."""
    try:
        raw = read_yaml(path.read_text(encoding="utf8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path}: can't be read as YAML: {error}") from error
    made = _checked_keys(path, Recipe, raw, "")
    for key in _PARTS.keys() & made.keys():
        made[key] = _made(path, _PARTS[key], made[key], f"{key}.")
    recipe: Recipe = _made(path, Recipe, made, "")
    return recipe


def _made(path: Path, kind: Any, values: Any, where: str) -> Any:
    given = _checked_keys(path, kind, values, where)
    try:
        return kind(**given)
    except InputError as error:
        raise InputError(f"{path}: {where}{error}") from error


def _checked_keys(path: Path, kind: Any, values: Any, where: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        what = where.removesuffix(".") or "a recipe"
        raise InputError(f"{path}: {what} must hold keys and values, got {values!r}")
    fields = {one.name: one for one in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            raise InputError(f"{path}: unknown key {where}{key}; the keys are: {', '.join(sorted(fields))}")
    for name, one in fields.items():
        if one.default is MISSING and name not in values:
            raise InputError(f"{path}: {where}{name} is missing")
    return dict(values)
