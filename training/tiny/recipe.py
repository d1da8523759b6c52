"""What `make tiny` does beside the general trainer's run, read from a YAML file of `recipes/`: the data that is drawn,
the motion stem's own training, the sizes of what trains, and the run that comes after."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from vljepa_edge.errors import InputError
from vljepa_edge.training.config import Amount, Count, Name, Part, Rate, Share, Whole, first_problem
from vljepa_edge.training.yaml12 import read_yaml

_SMOLLM2_LAYERS = 30


class DataRecipe(Part):
    """How many clips of each kind are drawn: with all that the model sees, with brightness alone, to test the motion
    stem on, and of each split of the model card."""

    train_clips: Count = 11_000
    motion_clips: Count = 30_000
    test_clips: Annotated[int, Field(ge=66)] = 660
    card_clips: Annotated[int, Field(ge=66)] = 2_000


class MotionRecipe(Part):
    """The motion stem's own training: motions and counts as classes. groups: share of its clips that show two or three
    of a kind; count_weight: of the loss of counts beside that of motions."""

    width: Annotated[int, Field(ge=2)] = 32
    groups: Share = 0.3
    count_weight: Amount = 1.0
    epochs: Count = 3
    batch: Count = 64
    lr: Rate = 4e-3


class PredictorRecipe(Part):
    """The predictor's body: `scratch` with these sizes, or `smollm2`, SmolLM2-135M's last `layers` layers."""

    body: Literal["scratch", "smollm2"] = "scratch"
    hidden: Annotated[int, Field(ge=2)] = 256
    layers: Count = 3
    heads: Count = 4
    ffn: Count = 704
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _fits(self) -> PredictorRecipe:
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden must be a multiple of 2 x heads ({2 * self.heads}), got {self.hidden}")
        if self.body == "smollm2" and self.layers > _SMOLLM2_LAYERS:
            raise ValueError(f"layers must be at most {_SMOLLM2_LAYERS} with the body smollm2, got {self.layers}")
        return self


class DecoderRecipe(Part):
    """The Y-decoder's size, and how many texts of wider words and scenes it is trained on beside all captions."""

    hidden: Annotated[int, Field(ge=64, multiple_of=64)] = 256
    layers: Count = 4
    wide: Whole = 40_000


class Recipe(Part):
    """All that decides the default. run: of the general trainer, a YAML file or the name of one that ships, with
    `changes` (`a.b=c`)."""

    name: Name
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataRecipe = DataRecipe()
    motion: MotionRecipe = MotionRecipe()
    predictor: PredictorRecipe = PredictorRecipe()
    decoder: DecoderRecipe = DecoderRecipe()
    run: str = "tiny"
    changes: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        clips = self.data.motion_clips + self.data.train_clips
        if self.motion.batch > clips:
            raise ValueError(f"motion.batch must be at most the {clips} clips to train on, got {self.motion.batch}")
        return self


def load_recipe(path: Path) -> Recipe:
    """Raises InputError naming the file and the key when it can't be read, a key is unknown or given twice, a needed
    one is missing, or a value has another type or is out of range."""
    try:
        return Recipe.model_validate(read_yaml(path.read_text(encoding="utf8")))
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path}: can't be read as YAML: {error}") from error
