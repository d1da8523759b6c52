"""What comes next, 1 to 10 s ahead: figures against scikit-learn, floors and the ceiling against formulas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import recall_score

from tests.evaluation.embedders import vector
from tests.toy_bundle import write_toy_bundle
from tests.training.reproduction.test_next_actions import plain_pictures as plain_pictures
from vljepa_edge.model import load
from vljepa_edge.training.config import load_run
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.reproduction import anticipation, grammar, measured, shipped
from vljepa_edge.training.reproduction.anticipation import ANTICIPATION, BEST, FIGURES, FLOORS, TUNED, items, recalls
from vljepa_edge.training.reproduction.experiment import FAILS, HOLDS, OPEN, Setting
from vljepa_edge.training.reproduction.next_actions import HORIZONS, TEXTS, NextActions
from vljepa_edge.training.reproduction.registry import experiment_of


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path, tmp_path, tmp_path, 1, lambda what, done, total: None)


def test_recall_is_the_mean_over_the_motions_as_scikit_learn_counts_it() -> None:
    asked = items(NextActions(15))
    scores = np.random.default_rng(0).random((len(asked), len(TEXTS)))
    found = recalls(scores, asked)
    for seconds in HORIZONS:
        rows = [row for row, item in enumerate(asked) if item.seconds == seconds]
        right = np.array([asked[row].right for row in rows])
        top = np.argsort(-scores[rows], axis=1)[:, :5]
        said = np.where((top == right[:, None]).any(1), right, -1)
        wanted = recall_score(right, said, labels=np.unique(right), average="macro", zero_division=0)
        assert found[f"{seconds} s"] == pytest.approx(100 * wanted)


def test_the_ceiling_is_what_the_grammar_allows_and_floors_are_at_chance(setting: Setting) -> None:
    best = BEST.make(setting)
    for seconds, steps in HORIZONS.items():
        assert best[f"{seconds} s"] == pytest.approx(grammar.best_recall(grammar.chain(), steps, 5), abs=8)
    for floor in FLOORS[1:]:
        assert list(floor.make(setting).values()) == pytest.approx([100 * 5 / len(TEXTS)] * 4, abs=8)


def test_a_bundle_sees_each_clip_once_and_is_asked_each_query(tmp_path: Path, setting: Setting) -> None:
    model, source = load(write_toy_bundle(tmp_path / "toy")), NextActions(1, held=True)
    told: list[tuple[int, int]] = []
    seen = anticipation.seen_by(model, source, lambda what, done, total: told.append((done, total)))
    samples = [source[index] for index in range(len(source))]
    clips = len({sample.media for sample in samples})
    assert told[-1] == (clips, clips) and clips < len(samples)
    assert np.linalg.norm(seen, axis=1) == pytest.approx(1, abs=1e-5)
    same = [row for row, sample in enumerate(samples) if sample.media == samples[1].media]
    assert len(same) > 1 and not np.allclose(seen[same[0]], seen[same[1]])


def test_who_predicts_what_comes_is_always_right(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    class Foresees:
        def __init__(self, trained: Any) -> None:
            pass

        def fill(self, sources: Sequence[NextActions], report: object) -> None:
            assert [source.name for source in sources] == ["60 streams of actions"]

        def see(self, samples: Sequence[Sample]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
            return np.stack([vector(sample.target) for sample in samples])

        def read(self, texts: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
            return np.stack([vector(text) for text in texts])

    monkeypatch.setattr(measured, "Reader", Foresees)
    assert list(anticipation.measure(None, setting).values()) == [100.0] * 4  # type: ignore[arg-type]


def test_the_run_ends_with_a_stage_on_streams_of_other_seeds_than_are_tested_on() -> None:
    run = load_run("miniature_next")
    assert [stage.name for stage in run.stages] == ["sft", "next"] and run.stages[-1].data == {"next": 1.0}
    assert run.stages[0] == load_run("miniature").stages[0]
    assert run.data["next"]["streams"] == anticipation.LEARNT_FROM
    assert anticipation.tested(0)._held and anticipation.tested(0)._seed != NextActions(1)._seed


def test_the_claim_needs_every_horizon_above_the_floors_and_falling() -> None:
    low = {arm.name: {seed: dict.fromkeys(FIGURES, 26.0) for seed in range(3)} for arm in FLOORS}
    falling = dict(zip(FIGURES, (80.0, 70.0, 60.0, 40.0), strict=True))
    level = dict(zip(FIGURES, (80.0, 60.0, 60.0, 40.0), strict=True))
    rising = dict(zip(FIGURES, (80.0, 60.0, 70.0, 40.0), strict=True))
    for figures, outcome in ((falling, HOLDS), (level, OPEN), (rising, FAILS)):
        assert ANTICIPATION.judge({**low, TUNED.name: dict.fromkeys(range(3), figures)}).outcome == outcome
    assert ANTICIPATION.judge(low).outcome == OPEN


def test_an_arm_is_of_the_grammar_too(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "default_digest", lambda: "toy")
    for arm in (BEST, FLOORS[0]):
        assert arm.recipe(setting.data)["grammar"] == [grammar.USUAL, grammar.SOMETIMES]
    assert experiment_of("anticipation") is ANTICIPATION
