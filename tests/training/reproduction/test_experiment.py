"""The frame of `vljepa reproduce`: arms are made once, go on where they stopped, and a claim is judged by its rule."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from vljepa_edge.cli import app
from vljepa_edge.errors import DataError, InputError
from vljepa_edge.training.reproduction import registry
from vljepa_edge.training.reproduction.arms import Workplace
from vljepa_edge.training.reproduction.experiment import FAILS, HOLDS, OPEN, SEEDS, Arm, Experiment, Setting
from vljepa_edge.training.reproduction.plot import draw
from vljepa_edge.training.reproduction.report import as_dict, markdown
from vljepa_edge.training.reproduction.verdict import Contrast, all_of

MADE: list[tuple[str, int]] = []


def make(name: str, level: float) -> Arm:
    """An arm whose accuracy is its level and its seed."""

    def figures(setting: Setting) -> Mapping[str, float]:
        MADE.append((name, setting.seed))
        setting.report("counting", 1, 1)
        return {"accuracy": level + setting.seed}

    return Arm(name, name.title(), lambda data: {"level": level}, figures, {"accuracy": 50.0})


RULE = all_of([Contrast("high", "low", ("accuracy",))])
TOY = Experiment("toy", "1.2", "High is above low.", "mean against spread", {"accuracy": "per cent"},
                 (make("high", 60.0), make("low", 40.0)), RULE, tables=())  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    MADE.clear()
    return Workplace(tmp_path, tmp_path / "work")


def ignore(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def test_an_arm_is_made_once(place: Workplace) -> None:
    arm = TOY.arms[0]
    first = place.make(arm, 2, ignore)
    assert first["figures"] == {"accuracy": 62.0} and first["recipe"] == {"level": 60.0}
    assert place.make(arm, 2, ignore) == first and MADE == [("high", 2)]
    assert place.results(TOY.arms, (0, 2)) == {"high": {2: {"accuracy": 62.0}}, "low": {}}


def test_a_result_of_another_recipe_is_refused_not_reused(place: Workplace) -> None:
    place.make(TOY.arms[0], 0, ignore)
    changed = make("high", 61.0)
    with pytest.raises(InputError, match="must be of this version of the arm high"):
        place.make(changed, 0, ignore)
    with pytest.raises(InputError, match="remove"):
        place.results([changed], (0,))
    assert MADE == [("high", 0)]


def test_an_arm_that_another_process_makes_is_waited_for(place: Workplace) -> None:
    begun, may_end, waits = threading.Event(), threading.Event(), threading.Event()

    def figures(setting: Setting) -> Mapping[str, float]:
        MADE.append(("slow", setting.seed))
        begun.set()
        assert may_end.wait(30)
        return {"accuracy": 1.0}

    arm = Arm("slow", "Slow", lambda data: {}, figures)
    with ThreadPoolExecutor() as others:
        first = others.submit(place.make, arm, 0, ignore)
        assert begun.wait(30)
        second = others.submit(place.make, arm, 0, lambda what, done, total: waits.set())
        assert waits.wait(30)
        may_end.set()
        assert first.result() == second.result() and MADE == [("slow", 0)]


def test_an_interrupted_arm_goes_on_with_what_it_left_and_its_time_adds_up(place: Workplace) -> None:
    def figures(setting: Setting) -> Mapping[str, float]:
        half = setting.folder / "half"
        if not half.exists():
            half.write_text("done")
            sum(k * k for k in range(300_000))
            raise KeyboardInterrupt
        return {"accuracy": 1.0}

    arm = replace(TOY.arms[0], make=figures)
    with pytest.raises(KeyboardInterrupt):
        place.make(arm, 0, ignore)
    assert place.read(arm, 0) is None
    spent = json.loads((place.folder(arm, 0) / "spent.json").read_text())["cpu_minutes"]
    assert spent > 0
    other = replace(arm, recipe=lambda data: {"level": 0.0})
    with pytest.raises(InputError, match="must hold work of this version"):
        place.make(other, 0, ignore)
    assert place.make(arm, 0, ignore)["figures"] == {"accuracy": 1.0}
    assert json.loads((place.folder(arm, 0) / "spent.json").read_text())["cpu_minutes"] > spent


def test_a_damaged_result_is_named(place: Workplace) -> None:
    place.make(TOY.arms[0], 0, ignore)
    (place.folder(TOY.arms[0], 0) / "result.json").write_text('{"digest": 1')
    with pytest.raises(DataError, match="can't be read as the result of an arm"):
        place.read(TOY.arms[0], 0)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=3, max_size=6))
def test_a_claim_is_judged_by_mean_and_range_of_paired_differences(pairs: list[tuple[int, int]]) -> None:
    results = {
        "a": {seed: {"x": float(pair[0]), "y": 7.0} for seed, pair in enumerate(pairs)},
        "b": {seed: {"x": float(pair[1]), "y": 7.0} for seed, pair in enumerate(pairs)},
    }
    outcome = all_of([Contrast("a", "b", ("x", "y"))])(results).outcome
    halves = [(one - other) / 2 for one, other in pairs]  # y is the same in both
    effect, spread = np.mean(halves), max(halves) - min(halves)
    assert outcome == (OPEN if abs(effect) <= spread else HOLDS if effect > 0 else FAILS)


def test_one_contrast_against_it_refutes_a_claim_and_two_seeds_decide_nothing() -> None:
    results = {name: {s: {"x": level + s} for s in SEEDS} for name, level in (("a", 30.0), ("b", 20.0), ("c", 40.0))}
    right, wrong = Contrast("a", "b", ("x",)), Contrast("a", "c", ("x",))
    assert all_of([right])(results).outcome == HOLDS
    assert all_of([right, wrong])(results).outcome == FAILS
    two = {name: {s: seeds[s] for s in SEEDS[:2]} for name, seeds in results.items()}
    assert all_of([right])(two).outcome == OPEN
    assert "both arms have 2 of the 3 seeds that are needed" in all_of([right])(two).why[0]


def test_an_arm_that_collapsed_wins_nothing() -> None:
    results = {"a": {s: {"x": float("nan")} for s in SEEDS}, "b": {s: {"x": 1.0} for s in SEEDS}}
    assert all_of([Contrast("a", "b", ("x",))])(results).outcome == FAILS


def test_a_report_of_what_is_there_says_what_is_missing(place: Workplace, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    place.make(TOY.arms[0], 0, ignore)
    place.make(TOY.arms[0], 1, ignore)
    results = place.results(TOY.arms, (0, 1))
    found = as_dict(TOY, results, (0, 1))
    assert found["missing"] == ["low (seed 0, 1)"] and found["verdict"] == OPEN
    figures = found["arms"][0]["figures"]["accuracy"]
    assert figures == {"mean": 60.5, "min": 60.0, "max": 61.0, "by_seed": {"0": 60.0, "1": 61.0}}
    page = markdown(TOY, results, (0, 1), "toy.svg")
    assert "| High | 60.5 (60.0 to 61.0) | 50.0 | 2 |" in page and "| Low | - | 50.0 | 0 |" in page
    assert "Not measured yet: low (seed 0, 1)." in page
    draw(TOY, results, tmp_path / "toy.svg")
    assert "<svg" in (tmp_path / "toy.svg").read_text()


def test_names_of_arms_differ_and_unknown_ones_are_said() -> None:
    with pytest.raises(InputError, match="must differ"):
        replace(TOY, arms=(TOY.arms[0], TOY.arms[0]))
    with pytest.raises(InputError, match="an arm of toy must be one of high, low, got 'middle'"):
        TOY.chosen(["middle"])
    assert TOY.chosen(["low"]) == [TOY.arms[1]]


def test_the_command_makes_arms_one_by_one_and_judges_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(registry, "_EXPERIMENTS", {"toy": "this:TOY"})
    monkeypatch.setattr(registry.importlib, "import_module", lambda name: __import__(__name__, fromlist=["TOY"]))
    MADE.clear()
    call = ["reproduce", "toy", "--data", str(tmp_path), "--work", str(tmp_path / "work")]
    run = CliRunner().invoke(app, [*call, "--arm", "high", "--seed", "1"])
    assert run.exit_code == 0, run.output
    assert MADE == [("high", 1)] and "Not measured yet: low (seed 1)." in run.output
    out = tmp_path / "out"
    run = CliRunner().invoke(app, [*call, "--json", "--out", str(out)])
    found = json.loads(run.stdout)
    assert found["verdict"] == HOLDS and not found["missing"]
    assert MADE[1:] == [("high", 0), ("low", 0), ("low", 1), ("high", 2), ("low", 2)]
    assert json.loads((out / "toy.json").read_text()) == found
    assert "The claim holds at this scale." in (out / "toy.md").read_text() and (out / "toy.svg").is_file()
    run = CliRunner().invoke(app, [*call, "--report"])
    assert "The claim holds at this scale." in run.output and len(MADE) == 6


def test_the_command_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    run = CliRunner().invoke(app, ["reproduce", "nonsense"])
    assert run.exit_code == 2 and "an experiment must be one of" in run.output
    monkeypatch.setattr(registry, "_EXPERIMENTS", {"toy": "x:TABLES"})
    tables = replace(TOY, tables=("coco-train.jsonl",))
    monkeypatch.setattr(registry.importlib, "import_module", lambda name: type("Module", (), {"TABLES": tables}))
    run = CliRunner().invoke(app, ["reproduce", "toy", "--data", str(tmp_path)])
    assert run.exit_code == 2 and "must hold coco-train.jsonl; run: vljepa data fetch everyday" in run.output
