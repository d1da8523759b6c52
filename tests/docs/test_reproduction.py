"""The committed reports of experiments are what the committed results of their arms come to."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from vljepa_edge.training.reproduction import registry
from vljepa_edge.training.reproduction.experiment import SEEDS
from vljepa_edge.training.reproduction.report import as_dict

REPORTS = Path(__file__).parents[2] / "docs" / "reproduction"


@cache
def result(arm: str, seed: int) -> Any:
    """None where it isn't committed."""
    file = REPORTS / "arms" / arm / str(seed) / "result.json"
    return json.loads(file.read_text("utf-8")) if file.is_file() else None


def complete(name: str) -> bool:
    """Whether the results of all arms are there."""
    return all(result(arm.name, seed) for arm in registry.experiment_of(name).arms for seed in SEEDS)


@pytest.mark.parametrize("name", [name for name in registry.names() if complete(name)])
def test_a_report_is_that_of_the_results(name: str) -> None:
    experiment = registry.experiment_of(name)
    found = {arm.name: {seed: result(arm.name, seed)["figures"] for seed in SEEDS} for arm in experiment.arms}
    assert json.loads((REPORTS / f"{name}.json").read_text("utf-8")) == as_dict(experiment, found, SEEDS)


@pytest.mark.parametrize(
    "file", sorted(REPORTS.glob("arms/*/*/result.json")), ids=lambda file: "-".join(file.parts[-3:-1])
)
def test_a_result_is_of_this_version_of_its_arm(file: Path, tmp_path: Path) -> None:
    """But for the tables, which need not be here."""
    kept = json.loads(file.read_text("utf-8"))
    experiments = map(registry.experiment_of, registry.names())
    own = next((one, arm) for one in experiments for arm in one.arms if arm.name == kept["arm"])
    for table in own[0].tables:
        (tmp_path / table).touch()
    now = json.loads(json.dumps(own[1].recipe(tmp_path)))
    assert (kept["arm"], str(kept["seed"])) == file.parts[-3:-1]
    assert {**kept["recipe"], "tables": None} == {**now, "tables": None}
