"""Recipes are YAML; what a file leaves out keeps its default, and what is wrong in it is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import vljepa_edge.training.tiny.recipe as recipes
from vljepa_edge.errors import InputError
from vljepa_edge.training.tiny.recipe import PredictorRecipe, Recipe, StageRecipe, load_recipe

SHIPPED = sorted((Path(recipes.__file__).parent / "recipes").glob("*.yaml"))
VALID = "name: a\nseed: 3\nimages: {steps: 1}\nclips: {steps: 2, lr: 0.5}\nsft: {steps: 3, cosine: true}\n"


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
    recipe = load_recipe(write(tmp_path, VALID))
    assert recipe == Recipe(
        "a", 3, StageRecipe(steps=1), StageRecipe(steps=2, lr=0.5), StageRecipe(steps=3, cosine=True)
    )
    assert recipe.predictor == PredictorRecipe()
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.seed = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (VALID + "epochs: 3\n", "unknown key epochs; the keys are: clips, data, decoder, images"),
        (
            VALID + "motion: {rate: 1}\n",
            "unknown key motion.rate; the keys are: batch, count_weight, epochs, groups, lr, width",
        ),
        (VALID.replace("{steps: 2, lr: 0.5}", "{lr: 0.5}"), "clips.steps is missing"),
        (VALID.replace("seed: 3\n", ""), "seed is missing"),
        (VALID + "data: 12\n", "data must hold keys and values, got 12"),
        (VALID + "data:\n", "data must hold keys and values, got None"),
        ("", "a recipe must hold keys and values, got None"),
        ("- a\n", "a recipe must hold keys and values, got ['a']"),
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


@pytest.mark.parametrize(
    ("written", "value"),
    [("1e-3", 0.001), ("1.0e-3", 0.001), ("1E+0", 1.0), (".5", 0.5), ("5.", 5.0), ("2", 2), ("+3", 3)],
)
def test_numbers_are_read_as_yaml_1_2_writes_them(tmp_path: Path, written: str, value: float) -> None:
    assert load_recipe(write(tmp_path, VALID.replace("lr: 0.5", f"lr: {written}"))).clips.lr == value


def test_a_leading_zero_is_no_octal_and_a_colon_no_base_of_sixty(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, VALID.replace("steps: 2", "steps: 010"))).clips.steps == 10
    with pytest.raises(InputError, match=r"clips\.steps must be an integer of at least 0, got '1:30'"):
        load_recipe(write(tmp_path, VALID.replace("steps: 2", "steps: 1:30")))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("lr: 0.5", "lr: '1e-3'", "clips.lr must be a number above 0, got '1e-3'"),
        ("lr: 0.5", "lr: 0", "clips.lr must be a number above 0, got 0"),
        ("lr: 0.5", "lr: -0.1", "clips.lr must be a number above 0, got -0.1"),
        ("lr: 0.5", "lr: .nan", "clips.lr must be a number above 0, got nan"),
        ("lr: 0.5", "lr: .inf", "clips.lr must be a number above 0, got inf"),
        ("lr: 0.5", "lr: true", "clips.lr must be a number above 0, got True"),
        ("lr: 0.5", "lr:", "clips.lr must be a number above 0, got None"),
        ("lr: 0.5", "lr: [1]", "clips.lr must be a number above 0, got [1]"),
        ("lr: 0.5", "lr: 1, lr: 2", "the key 'lr' is given twice"),
        ("steps: 2", "steps: 2.5", "clips.steps must be an integer of at least 0, got 2.5"),
        ("steps: 2", "steps: -1", "clips.steps must be an integer of at least 0, got -1"),
        ("steps: 2", "steps: 1e3", "clips.steps must be an integer of at least 0, got 1000.0"),
        ("steps: 2", "steps: 2, warmup: -1", "clips.warmup must be an integer of at least 0, got -1"),
        ("steps: 2", "steps: 2, batch: 1", "clips.batch must be an integer of at least 2, got 1"),
        ("steps: 2", "steps: 2, image_share: 1.5", "clips.image_share must be a number from 0 to 1, got 1.5"),
        ("cosine: true", "cosine: yes", "sft.cosine must be false or true, got 'yes'"),
        ("cosine: true", "cosine: 1", "sft.cosine must be false or true, got 1"),
        ("seed: 3", "seed: -1", "seed must be an integer from 0 to 4294967295, got -1"),
        ("name: a", "name: ../a", "name must be a name of at most 100 letters"),
        ("name: a", "name: 7", "name must be a name of at most 100 letters"),
        ("seed: 3", "seed: 3\ndata: {groups: 0.7, pairs: 0.7}", "data.pairs and groups must be 1 together at most"),
        ("seed: 3", "seed: 3\ndata: {test_clips: 10}", "data.test_clips must be an integer of at least 66, got 10"),
        ("seed: 3", "seed: 3\npredictor: {body: gpt}", "predictor.body must be scratch or smollm2, got 'gpt'"),
        ("seed: 3", "seed: 3\npredictor: {dropout: 1}", "predictor.dropout must be a number from 0 to below 1, got 1"),
        ("seed: 3", "seed: 3\npredictor: {heads: 3}", "predictor.hidden must be a multiple of 2 x heads (6), got 256"),
        ("seed: 3", "seed: 3\npredictor: {body: smollm2, layers: 31}", "predictor.layers must be at most 30"),
        ("seed: 3", "seed: 3\ndecoder: {hidden: 100}", "decoder.hidden must be a multiple of 64"),
        ("seed: 3", "seed: 3\nmotion: {batch: 100000}", "motion.batch must be at most the 44000 clips"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_or_out_of_range_is_refused_before_any_work(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert VALID.count(old) == 1
    with pytest.raises(InputError) as caught:
        load_recipe(write(tmp_path, VALID.replace(old, new)))
    assert said in str(caught.value)


def test_every_field_has_a_rule_that_its_default_holds_to() -> None:
    for kind in (Recipe, *recipes._PARTS.values()):
        for one in dataclasses.fields(kind):
            if one.name not in recipes._PARTS:
                assert "rule" in one.metadata, f"{kind.__name__}.{one.name}"
    for kind in (recipes.DataRecipe, recipes.MotionRecipe, recipes.PredictorRecipe, recipes.DecoderRecipe):
        kind()


def test_a_recipe_made_in_python_is_held_to_the_same_rules() -> None:
    with pytest.raises(InputError, match="seed must be an integer"):
        dataclasses.replace(Recipe("a", 0, StageRecipe(1), StageRecipe(1), StageRecipe(1)), seed=-1)
