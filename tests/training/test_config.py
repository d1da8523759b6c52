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
    changes = ["seed=7", "stages.second.lr=2e-5", "stages.0.loss=[{kind: l2, weight: 2}]", "evaluate={data: check}"]
    found = load_run(run, ["data.check={path: c}", *changes, "parallel.mode=fsdp2", "model.predictor.dropout=0.1"])
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
        ("stages.0.augment=[light]", r"augmentations of pixels must be of mirror, brightness, got \['light'\]"),
        ("evaluate={data: gone}", r"evaluate\.data must be one of the data that no stage takes \[\], got 'gone'"),
        ("evaluate={data: more}", r"evaluate\.data must be one of .*, got 'more'"),
        ("decoder={corpus: [x], predicted: {data: {gone: 1.0}}}", r"predicted: 'gone' must be one of the last stage's"),
        ("decoder={corpus: [x], predicted: {data: {more: 0.0}}}", r"decoder\.predicted\.data\.more: .*greater than 0"),
        ("decoder={corpus: [x], predicted: {data: {}}}", r"decoder\.predicted\.data: .*at least 1 item"),
        ("decoder={corpus: [[x]]}", r"decoder\.corpus\.0: Input should be a valid string"),
        ("evaluate={data: [clips]}", r"evaluate\.data: Input should be a valid string"),
        ("concept_trust=-0.1", "concept_trust: .*greater than or equal to 0"),
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
    with pytest.raises(InputError, match=r"must be a YAML file or one of .*paper_v1, paper_v2, small"):
        load_run("gone")


def test_a_run_goes_to_a_folder_of_its_name() -> None:
    run = RunConfig.model_validate(yaml.safe_load(RUN.replace("1e-3", "0.001").replace("1e-4", "0.0001")))
    assert run.folder == Path("runs/mine")


def test_features_that_are_kept_have_augmentations_of_their_own(run: Path) -> None:
    cached = ["stages.0.cache=true", "stages.0.augment=[grid_noise, light]"]
    assert load_run(run, cached).stages[0].augment == ["grid_noise", "light"]
    with pytest.raises(InputError, match=r"of cached features must be of grid_noise, light, got \['mirror'\]"):
        load_run(run, ["stages.0.cache=true", "stages.0.augment=[mirror]"])


def test_samples_to_predict_are_of_the_last_stage(run: Path) -> None:
    wanted = "decoder={corpus: [clips], predicted: {data: {more: 2.0, clips: 1.0}, samples: 30}}"
    found = load_run(run, [wanted]).decoder
    assert found is not None and found.predicted is not None
    assert (found.predicted.data, found.predicted.samples) == ({"more": 2.0, "clips": 1.0}, 30)
    with pytest.raises(InputError, match=r"'more' must be one of the last stage's data \['clips'\]"):
        load_run(run, [wanted, "stages.second.data={clips: 1.0}"])


DECODER = "decoder={corpus: [clips, words.txt, more], predicted: {data: {more: 2.0, clips: 1.0}}}"


def test_a_source_that_is_null_is_taken_out_wherever_it_is_named(run: Path) -> None:
    found = load_run(run, [DECODER, "evaluate={data: more}", "data.more=null"])
    assert set(found.data) == {"clips"} and found.evaluate is None
    assert [stage.data for stage in found.stages] == [{"clips": 1.0}, {"clips": 1.0}]
    assert found.decoder is not None and found.decoder.predicted is not None
    assert (found.decoder.corpus, found.decoder.predicted.data) == (["clips", "words.txt"], {"clips": 1.0})
    other = load_run(run, [DECODER, "data.check={path: c}", "evaluate={data: check}", "data.more=null"])
    assert other.evaluate is not None and other.evaluate.data == "check"
    assert load_run(run, [DECODER]).stages[1].data == {"clips": 1.0, "more": 0.5}  # nothing is null


def test_the_file_above_may_take_a_source_out(run: Path) -> None:
    (run.parent / "over.yaml").write_text("extends: run.yaml\nname: over\ndata: {more: null}\n")
    found = load_run(run.parent / "over.yaml")
    assert set(found.data) == {"clips"} and found.stages[1].data == {"clips": 1.0}
    (run.parent / "back.yaml").write_text("extends: over.yaml\nname: back\ndata: {more: {path: more}}\n")
    assert load_run(run.parent / "back.yaml").stages[1].data == {"clips": 1.0, "more": 0.5}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["data.clips=null"], "the stage first must take data from at least one source"),
        (["data.clips=null", "data.more=null"], "the stage first must take data from at least one source"),
        (["data.gone=null", "stages.0.data={gone: 1.0}"], "the stage first must take data from at least one source"),
        (["data=null"], "data: Input should be a valid dictionary"),
        (["data.more=null", "stages=null"], "stages: Input should be a valid list"),
        (["data.more=null", "stages.0=5"], r"stages\.0: Input should be a valid dictionary"),
        (["data.more=null", "stages.1.data=5"], r"stages\.1\.data: Input should be a valid dictionary"),
        (["data.more=null", "decoder=5"], "decoder: Input should be a valid dictionary"),
        (["data.more=null", "decoder={corpus: more}"], r"decoder\.corpus: Input should be a valid list"),
        (["data.more=null", "decoder={corpus: [more]}"], r"decoder\.corpus: List should have at least 1 item"),
        (["data.more=null", "decoder={corpus: [x], predicted: {data: {more: 1.0}}}"], "predicted.data: .*least 1 item"),
        (["data.more=null", "evaluate=[]"], "evaluate: Input should be a valid dictionary"),
    ],
)
def test_what_is_wrong_beside_a_null_is_named_as_without(run: Path, changes: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_run(run, changes)
