"""Recipes are YAML; what a file leaves out keeps its default, and what is wrong in it is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

import vljepa_edge.training.tiny.recipe as recipes
from vljepa_edge.errors import InputError
from vljepa_edge.training.config import load_run
from vljepa_edge.training.tiny.recipe import DataRecipe, MotionRecipe, PredictorRecipe, Recipe, load_recipe

SHIPPED = sorted((Path(recipes.__file__).parent / "recipes").glob("*.yaml"))
VALID = "name: a\nseed: 3\ndata: {train_clips: 20}\nmotion: {lr: 0.5, batch: 8}\n"


def write(folder: Path, text: str) -> Path:
    file = folder / "recipe.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_shipped_recipes_load_and_are_named_like_their_files(file: Path) -> None:
    recipe = load_recipe(file)
    assert recipe.name == file.stem
    run = load_run(recipe.run, recipe.changes)
    images, clips, sft = run.stages
    assert (images.name, clips.name, sft.name) == ("images", "clips", "sft")
    assert sft.query and sft.schedule == "cosine"  # the second stage asks, and ends with a falling rate
    assert {stage.query for stage in (images, clips)} == {False}  # the first does neither
    assert {stage.schedule for stage in (images, clips)} == {"constant"}
    assert run.decoder is not None and run.decoder.predicted is not None
    for stage in run.stages:
        assert stage.multipliers["y_encoder."] == 0.05 and stage.multipliers["x_encoder.motion."] == 0.0
        assert stage.cache and stage.average is not None


def test_the_default_and_a_quick_one_are_shipped() -> None:
    assert {"tiny.yaml", "quick.yaml"} <= {file.name for file in SHIPPED}
    quick, default = (load_recipe(file) for file in SHIPPED if file.stem in ("quick", "tiny"))
    of_quick, of_default = (load_run(recipe.run, recipe.changes) for recipe in (quick, default))
    for fast, full in zip(of_quick.stages, of_default.stages, strict=True):
        assert fast.steps < full.steps and fast.data == full.data


def test_what_is_left_out_keeps_its_default(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, VALID))
    assert recipe == Recipe(
        name="a", seed=3, data=DataRecipe(train_clips=20), motion=MotionRecipe(lr=0.5, batch=8)
    )  # fmt: skip
    assert recipe.predictor == PredictorRecipe() and (recipe.run, recipe.changes) == ("tiny", [])
    with pytest.raises(ValidationError, match="frozen"):
        recipe.seed = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (VALID + "epochs: 3\n", "epochs: Extra inputs are not permitted, got 3"),
        (VALID + "predictor: {rate: 1}\n", "predictor.rate: Extra inputs are not permitted, got 1"),
        (VALID.replace("name: a\n", ""), "name: Field required"),
        (VALID + "decoder: 12\n", "decoder: Input should be a valid dictionary or instance of DecoderRecipe, got 12"),
        (VALID + "decoder:\n", "decoder: Input should be a valid dictionary or instance of DecoderRecipe, got None"),
        ("", "Input should be a valid dictionary or instance of Recipe"),
        ("- a\n", "Input should be a valid dictionary or instance of Recipe"),
        ("{", "can't be read as YAML"),
    ],
)
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
    assert load_recipe(write(tmp_path, VALID.replace("lr: 0.5", f"lr: {written}"))).motion.lr == value


def test_a_leading_zero_is_no_octal_and_a_colon_no_base_of_sixty(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, VALID.replace("train_clips: 20", "train_clips: 010"))).data.train_clips == 10
    with pytest.raises(InputError, match=r"data\.train_clips: Input should be a valid integer, got '1:30'"):
        load_recipe(write(tmp_path, VALID.replace("train_clips: 20", "train_clips: 1:30")))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("lr: 0.5", "lr: '1e-3'", "motion.lr: Input should be a valid number, got '1e-3'"),
        ("lr: 0.5", "lr: 0", "motion.lr: Input should be greater than 0, got 0"),
        ("lr: 0.5", "lr: -0.1", "motion.lr: Input should be greater than 0, got -0.1"),
        ("lr: 0.5", "lr: .nan", "motion.lr: Input should be "),
        ("lr: 0.5", "lr: .inf", "motion.lr: Input should be a finite number, got inf"),
        ("lr: 0.5", "lr: true", "motion.lr: Input should be a valid number, got True"),
        ("lr: 0.5", "lr: ", "motion.lr: Input should be a valid number, got None"),
        ("lr: 0.5", "lr: [1]", "motion.lr: Input should be a valid number"),
        ("lr: 0.5", "lr: 1, lr: 2", "the key 'lr' is given twice"),
        ("train_clips: 20", "train_clips: 2.5", "data.train_clips: Input should be a valid integer, got 2.5"),
        ("train_clips: 20", "train_clips: 0", "data.train_clips: Input should be greater than or equal to 1, got 0"),
        ("train_clips: 20", "train_clips: 1e3", "data.train_clips: Input should be a valid integer, got 1000.0"),
        ("train_clips: 20", "train_clips: yes", "data.train_clips: Input should be a valid integer, got 'yes'"),
        ("batch: 8", "batch: true", "motion.batch: Input should be a valid integer, got True"),
        ("batch: 8", "groups: 1.5", "motion.groups: Input should be less than or equal to 1, got 1.5"),
        ("seed: 3", "seed: -1", "seed: Input should be greater than or equal to 0, got -1"),
        ("seed: 3", "seed: 2147483648", "seed: Input should be less than 2147483648, got 2147483648"),
        ("name: a", "name: ../a", "name: String should match pattern"),
        ("name: a", "name: 7", "name: Input should be a valid string, got 7"),
        ("train_clips: 20", "test_clips: 10", "data.test_clips: Input should be greater than or equal to 66, got 10"),
        ("seed: 3", "predictor: {body: gpt}", "predictor.body: Input should be 'scratch' or 'smollm2', got 'gpt'"),
        ("seed: 3", "predictor: {dropout: 1}", "predictor.dropout: Input should be less than 1, got 1"),
        ("seed: 3", "predictor: {heads: 3}", "predictor: hidden must be a multiple of 2 x heads (6), got 256"),
        ("seed: 3", "predictor: {body: smollm2, layers: 31}", "predictor: layers must be at most 30 with the body"),
        ("seed: 3", "decoder: {hidden: 100}", "decoder.hidden: Input should be a multiple of 64, got 100"),
        ("seed: 3", "changes: [1]", "changes.0: Input should be a valid string, got 1"),
        ("batch: 8", "batch: 100000", "motion.batch must be at most the 30020 clips to train on, got 100000"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_or_out_of_range_is_refused_before_any_work(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert VALID.count(old) == 1
    with pytest.raises(InputError) as caught:
        load_recipe(write(tmp_path, VALID.replace(old, new)))
    assert said in str(caught.value)


def test_a_recipe_made_in_python_is_held_to_the_same_rules() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Recipe(name="a", seed=-1)
    with pytest.raises(ValidationError, match="multiple of 2 x heads"):
        PredictorRecipe(heads=3)
