"""World prediction, counting and presence as experiments: arms from beginning to end on a toy bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.toy_bundle import write_toy_bundle
from tests.training.reproduction.drawn_stand_ins import held_out as stand_ins
from tests.training.reproduction.test_transitions import robots
from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.bundle_embedder import BundleEmbedder
from vljepa_edge.model import Model, load
from vljepa_edge.training.everyday.digest import table_digest
from vljepa_edge.training.reproduction import (
    counting,
    hallucination,
    held_out,
    latency,
    shipped,
    task_figures,
    trained,
    trained_embedder,
    trained_tasks,
    world,
)
from vljepa_edge.training.reproduction.experiment import HOLDS, OPEN, Arm, Experiment, Setting
from vljepa_edge.training.reproduction.registry import experiment_of, names
from vljepa_edge.training.reproduction.report import head
from vljepa_edge.training.reproduction.trained_tasks import ASKED, UNASKED

TASKS = (world.WORLD, counting.COUNTING, hallucination.HALLUCINATION)
SAID = {
    "coco-val.jsonl": ("Two dogs on a beach.", "A dog and a frisbee.", "One cat.", "Three zebras in grass.", "A car."),
    "flickr8k-dev.jsonl": ("Two boys run.", "One horse and a man.", "Three birds fly.", "A lone horse runs."),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(write_toy_bundle(tmp_path_factory.mktemp("toy") / "toy"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    robots(folder, 5)
    for table in trained.TABLES:
        (folder / table).write_text(json.dumps({"path": "1.jpg", "caption": "A dog."}) + "\n", encoding="utf-8")
    rng = np.random.default_rng(0)
    for table, captions in SAID.items():
        rows = []
        for number, caption in enumerate(captions):
            path = folder / f"{table}-{number}.png"
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
            rows.append({"path": str(path), "caption": caption})
        (folder / table).write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    for module in (world, counting, hallucination, latency):
        monkeypatch.setattr(module, "load", lambda **options: model)
    monkeypatch.setattr(held_out, "load", stand_ins)
    monkeypatch.setattr(shipped, "default_digest", lambda: "toy")
    monkeypatch.setattr(task_figures, "TRANSITIONS", 1)
    monkeypatch.setattr(task_figures, "COUNTS", 3)
    monkeypatch.setattr(latency, "ROUNDS", 3)


@pytest.fixture
def setting(data: Path, tmp_path: Path) -> Callable[[int], Setting]:
    return lambda seed: Setting(data, tmp_path / "shared", tmp_path, seed, lambda what, done, total: None)


@pytest.mark.parametrize("experiment", TASKS, ids=lambda experiment: experiment.name)
def test_every_arm_has_every_figure_in_per_cent(experiment: Experiment, setting: Callable[[int], Setting]) -> None:
    for arm in experiment.arms:
        if arm not in (ASKED, UNASKED):
            found = arm.make(setting(1))
            assert found.keys() == experiment.figures.keys()
            assert all(0 <= value <= 100 for value in found.values())


def test_a_trained_arm_is_measured_on_all_of_them(
    setting: Callable[[int], Setting], monkeypatch: pytest.MonkeyPatch, model: Model
) -> None:
    monkeypatch.setattr(trained_embedder, "TrainedEmbedder", lambda trained: BundleEmbedder(model))
    found = trained_tasks.measure(None, setting(1))  # type: ignore[arg-type]
    assert found.keys() == {name for experiment in TASKS for name in experiment.figures}
    assert world.MODEL.make(setting(1)).items() <= found.items()


def test_one_trained_arm_is_asked_and_the_other_has_no_queries_and_no_questions_to_learn_from(data: Path) -> None:
    asked, unasked = (dict(arm.recipe(data))["run"]["stages"][0] for arm in (ASKED, UNASKED))
    assert asked["query"] and not unasked["query"] and asked["steps"] == unasked["steps"]
    assert any(name.endswith("_asked") for name in asked["data"])
    assert not any(name.endswith("_asked") for name in unasked["data"])
    assert sum(unasked["data"].values()) == pytest.approx(1)


@pytest.mark.parametrize("arm", [counting.FLOORS[1], hallucination.MODEL], ids=lambda arm: arm.name)
def test_the_same_seed_gives_the_same_figures(arm: Arm, setting: Callable[[int], Setting]) -> None:
    assert arm.make(setting(2)) == arm.make(setting(2))


def test_an_arm_is_of_its_bundle_its_tables_and_its_kind(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arms = [*world.WORLD.arms, *counting.COUNTING.arms, *hallucination.HALLUCINATION.arms, *latency.LATENCY.arms]
    arms = [arm for arm in arms if arm not in (ASKED, UNASKED)]
    found = [arm.digest(data) for arm in arms]
    assert len(set(found)) == len(arms) and found == [arm.digest(data) for arm in arms]
    monkeypatch.setattr(shipped, "default_digest", lambda: "another")
    assert not set(found) & {arm.digest(data) for arm in arms}


def test_a_table_is_known_by_its_texts_wherever_its_files_lie(data: Path, tmp_path: Path) -> None:
    table = data / "coco-val.jsonl"
    rows = [json.loads(line) for line in table.read_text("utf-8").splitlines()]
    for row in rows:
        there = tmp_path / Path(row["path"]).name
        there.write_bytes(Path(row["path"]).read_bytes())
        row["path"] = str(there)
    moved = tmp_path / "moved.jsonl"
    moved.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    first = table_digest(table)
    assert table_digest(moved) == first
    table_digest.cache_clear()
    rows[0]["caption"] += " Said again."
    moved.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert table_digest(moved) != first
    table_digest.cache_clear()
    moved.write_text('{"path": "a.jpg"}', encoding="utf-8")
    with pytest.raises(DataError, match="must have a path and a caption in each row"):
        table_digest(moved)


@pytest.mark.parametrize("experiment", TASKS, ids=lambda experiment: experiment.name)
def test_a_claim_needs_every_group_above_every_floor(experiment: Experiment) -> None:
    columns = dict.fromkeys(experiment.figures, 50.0)
    results = {arm.name: {seed: dict(columns) for seed in range(3)} for arm in experiment.arms}
    for own in results[ASKED.name].values():
        own |= dict.fromkeys(columns, 55.0)
    assert experiment.judge(results).outcome == OPEN
    for own in results[experiment.arms[0].name].values():
        own |= dict.fromkeys(columns, 60.0)
    assert experiment.judge(results).outcome == HOLDS
    group = list(columns)[2]
    for own in results[experiment.arms[-1].name].values():
        own[group] = 90.0
    verdict = experiment.judge(results)
    assert verdict.outcome != HOLDS and any(group in line for line in verdict.why)


def test_they_are_registered_and_have_a_column_of_the_paper() -> None:
    for experiment in (*TASKS, latency.LATENCY):
        assert experiment.name in names() and experiment_of(experiment.name) is experiment
        assert any(column.startswith("paper: ") for column in head(experiment))
