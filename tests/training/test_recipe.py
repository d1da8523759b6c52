"""Recipes are YAML; what a file leaves out keeps its default, and what is wrong in it is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import vljepa_edge.training.recipe as recipes
from vljepa_edge.errors import InputError
from vljepa_edge.training.recipe import PredictorRecipe, Recipe, StageRecipe, load_recipe

SHIPPED = sorted((Path(recipes.__file__).parent / "configs").glob("*.yaml"))
LEGAL = "name: a\nseed: 3\nimages: {steps: 1}\nclips: {steps: 2, lr: 0.5}\nsft: {steps: 3, cosine: true}\n"


def write(folder: Path, text: str) -> Path:
    file = folder / "recipe.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_shipped_recipes_load_and_are_named_like_their_files(file: Path) -> None:
    recipe = load_recipe(file)
    assert recipe.name == file.stem
    assert min(recipe.data.train_clips, recipe.clips.steps, recipe.decoder.steps) > 0
    assert recipe.sft.cosine and recipe.sft.question_share > 0  # the second stage asks, and ends with a falling rate
    assert not recipe.clips.cosine and recipe.clips.question_share == 0  # the first does neither
    assert all(stage.y_encoder_lr == 0.05 for stage in (recipe.images, recipe.clips, recipe.sft))


def test_the_default_and_a_quick_one_are_shipped() -> None:
    assert {"tiny.yaml", "quick.yaml"} <= {file.name for file in SHIPPED}


def test_what_is_left_out_keeps_its_default(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, LEGAL))
    assert recipe == Recipe(
        "a", 3, StageRecipe(steps=1), StageRecipe(steps=2, lr=0.5), StageRecipe(steps=3, cosine=True)
    )
    assert recipe.predictor == PredictorRecipe()
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.seed = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LEGAL + "epochs: 3\n", "unknown key epochs; legal keys: clips, data, decoder, images"),
        (
            LEGAL + "motion: {rate: 1}\n",
            "unknown key motion.rate; legal keys: batch, count_weight, epochs, groups, lr, width",
        ),
        (LEGAL.replace("{steps: 2, lr: 0.5}", "{lr: 0.5}"), "missing 1 required positional argument: 'steps'"),
        (LEGAL.replace("seed: 3\n", ""), "missing 1 required positional argument: 'seed'"),
        (LEGAL + "data: 12\n", "data must hold keys and values, not 12"),
        (LEGAL + "data:\n", "data must hold keys and values, not None"),
        ("", "must hold keys and values, not NoneType"),
        ("- a\n", "must hold keys and values, not list"),
        ("{", "can't be read as YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load_recipe(file)
    assert str(file) in str(caught.value) and said in str(caught.value)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: can't be read"):
        load_recipe(tmp_path / "none.yaml")
