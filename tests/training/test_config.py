"""Runs as files: what extends what, changes from the command line, and errors that name the key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vljepa_edge.errors import InputError
from vljepa_edge.training.config import CONFIGS, RunConfig, load_run

RUN = """
name: mine
init: random
model: {preset: tiny}
data: {clips: {path: clips.csv}, more: {path: more}}
stages:
  - {name: first, query: false, steps: 10, batch: 8, lr: 1e-3, data: {clips: 1.0},
     frames: {count: 8, width: 32, height: 32}}
  - {name: second, query: true, steps: 5, batch: 4, lr: 1e-4, data: {clips: 1.0, more: 0.5},
     frames: {count: 8, width: 32, height: 32}}
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(RUN)
    return path


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_ships_loads_by_its_name(path: Path) -> None:
    found = load_run(path.stem)
    assert found.name == path.stem
    assert found.model is None or found.architecture().predictor.embedding > 0


def test_the_papers_numbers() -> None:
    found = load_run("paper_v2")
    assert [(s.frames.count, s.steps) for s in found.stages] == [(1, 100_000), (8, 60_000), (32, 10_000), (32, 83_000)]
    images, *videos, sft = found.stages
    assert (images.batch, sft.batch) == (24_576, 3072)
    for stage in (images, *videos):
        assert (stage.lr, stage.schedule, stage.query) == (5e-5, "constant", False)
    assert (sft.schedule, sft.query) == ("cosine", True) and "video" in sft.data  # replay of the first stage
    assert {stage.multipliers["y_encoder."] for stage in found.stages} == {0.05}
    first = load_run("paper_v1")
    assert first.stages[1].frames.count == 16 and (first.stages[-1].steps, first.stages[-1].batch) == (35_000, 6144)


def test_all_of_a_run_is_in_its_yaml(run: Path, tmp_path: Path) -> None:
    found = load_run(run)
    again = tmp_path / "again.yaml"
    again.write_text(found.to_yaml())
    assert load_run(again) == found
    assert yaml.safe_load(found.to_yaml())["stages"][0]["clip"] == 1.0  # defaults too


def test_a_file_lies_over_the_one_that_it_extends(run: Path) -> None:
    (run.parent / "over.yaml").write_text(
        "extends: run.yaml\nname: over\nparallel: {mode: ddp}\ndata: {extra: {path: x}}\n"
    )
    found = load_run(run.parent / "over.yaml")
    assert (found.name, found.parallel.mode, found.parallel.bf16) == ("over", "ddp", True)
    assert set(found.data) == {"clips", "more", "extra"}
    (run.parent / "shipped.yaml").write_text("extends: small\nname: shipped\n")
    assert load_run(run.parent / "shipped.yaml").stages[0].batch == 512


def test_a_circle_is_an_error(run: Path) -> None:
    (run.parent / "a.yaml").write_text("extends: b.yaml")
    (run.parent / "b.yaml").write_text("extends: a.yaml")
    with pytest.raises(InputError, match=r"extends itself"):
        load_run(run.parent / "a.yaml")


def test_changes_reach_every_value(run: Path) -> None:
    changes = ["seed=7", "stages.second.lr=2e-5", "stages.0.loss=[{kind: l2, weight: 2}]", "evaluate={data: more}"]
    found = load_run(run, [*changes, "parallel.mode=fsdp2", "model.predictor.dropout=0.1"])
    assert (found.seed, found.stages[1].lr, found.stages[0].loss[0].kind) == (7, 2e-5, "l2")
    assert found.evaluate is not None and found.evaluate.every == 500
    assert (found.parallel.mode, found.architecture().predictor.dropout) == ("fsdp2", 0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("stages.0.lr=fast", r"stages\.0\.lr: .*valid number, got 'fast'"),
        ("stages.0.lr=-1", r"stages\.0\.lr: .*greater than 0, got -1"),
        ("stages.0.lr=.nan", r"stages\.0\.lr"),
        ("stages.0.steps=1.5", r"stages\.0\.steps"),
        ("stages.0.steps=true", r"stages\.0\.steps"),
        ("stages.0.batch=1", r"stages\.0\.batch: .*greater than or equal to 2"),
        ("stages.0.query=maybe", r"stages\.0\.query"),
        ("stages.0.speed=1", r"stages\.0\.speed: Extra inputs"),
        ("stages.0.name=second", "names of stages must differ"),
        ("stages.0.data={gone: 1.0}", r"'gone' must be one of the data \['clips', 'more'\]"),
        ("stages.0.data={}", "at least one source"),
        ("stages.0.objective={kind: future}", "delta must be given"),
        ("stages.0.objective={kind: classify, classes: [a, a]}", "at least 2 different texts"),
        ("stages.0.betas=[0.9, 1.0]", "betas must be below 1"),
        ("evaluate={data: gone}", "evaluate.data must be one of the data"),
        ("init=runs/mine/model", "model must be given where init is sources or random"),
        ("seed=-1", "seed"),
        ("name=../x", "name"),
        ("stages.third.lr=1", "'third' must be a number below 2 or the name of an item"),
        ("nothing", "a change must be KEY=VALUE"),
        ("name.x=1", "name is no mapping"),
        ("seed=[", "must be a YAML value"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(run: Path, change: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_run(run, [change])


def test_an_unknown_preset_or_key_of_the_model_is_named(run: Path) -> None:
    with pytest.raises(InputError, match=r"model\.preset must be one of paper, tiny, got 'large'"):
        load_run(run, ["model.preset=large"]).architecture()
    with pytest.raises(InputError, match=r"unknown key 'model\.predictor\.depth'"):
        load_run(run, ["model.predictor.depth=3"]).architecture()


@pytest.mark.parametrize(("text", "message"), [("[1]", "must hold a mapping"), ("a: [", "can't be read as YAML"),
                                               ("extends: [a]", "extends must be the name of a file")])  # fmt: skip
def test_a_file_that_is_no_run(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_run(tmp_path / "x.yaml")
    with pytest.raises(InputError, match=r"must be a YAML file or one of paper_v1, paper_v2, small"):
        load_run("gone")


def test_a_run_goes_to_a_folder_of_its_name() -> None:
    run = RunConfig.model_validate(yaml.safe_load(RUN.replace("1e-3", "0.001").replace("1e-4", "0.0001")))
    assert run.folder == Path("runs/mine")
