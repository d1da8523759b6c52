"""Arms that the trainer trains: a complete one on made-up clips, what decides its recipe, what it is measured by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.training.small_run import tokenizer_of_words, write_run
from vljepa_edge.training.config import load_run
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.report import TrainReport
from vljepa_edge.training.reproduction import registry, trained
from vljepa_edge.training.reproduction.arms import Workplace
from vljepa_edge.training.reproduction.experiment import Setting
from vljepa_edge.training.reproduction.measured import answered
from vljepa_edge.training.reproduction.trained import Stopped, Trained, trained_arm
from vljepa_edge.training.reproduction.word_encoders import write_words


def ignore(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def length(found: Trained, setting: Setting) -> Mapping[str, float]:
    """A figure of a trained model: the length of an embedding."""
    ids = found.tokenizers.target.encode("a red square").ids
    with torch.no_grad():
        return {"length": float(found.model.encode_text(torch.tensor([ids])).norm()), "seed": found.run.seed}


def test_an_arm_is_trained_on_the_folders_tables_measured_and_tidied(tmp_path: Path) -> None:
    changes = ("stages.pretrain.steps=1", "stages.sft.steps=2", "model.y_decoder=null")
    arm = trained_arm("small", "Small", length, changes, run=str(write_run(tmp_path / "made")))
    for table in ("clips.csv", "asked.csv"):  # of another folder than the run names
        moved = (tmp_path / "made" / "clips" / table).read_text().replace("\n", f"\n{tmp_path}/made/clips/", 48)
        (tmp_path / table).write_text(moved)
    (tmp_path / "made" / "clips" / "clips.csv").unlink()
    place = Workplace(tmp_path, tmp_path / "work")
    result = place.make(arm, 3, ignore)
    assert result["figures"] == {"length": pytest.approx(1.0, abs=1e-5), "seed": 3.0}
    assert result["cpu_minutes"] > 0
    run = place.folder(arm, 3) / "run"
    assert len((run / "log.jsonl").read_text().splitlines()) == 3
    assert not (run / "checkpoints").exists() and not (run / "model").exists()


def test_a_run_that_a_signal_stopped_ends_the_command_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vljepa_edge.training import loop

    resumed: list[str | None] = []

    def stopped(config: object, resume: str | None = None) -> TrainReport:
        resumed.append(resume)
        return TrainReport(tmp_path, None, 1, 0, 0, {}, 15)

    monkeypatch.setattr(loop, "train", stopped)
    monkeypatch.setattr(trained, "_start", lambda config, setting: tmp_path / "start")
    arm = trained_arm("small", "Small", length, run=str(write_run(tmp_path / "made")))
    place = Workplace(tmp_path, tmp_path / "work")
    with pytest.raises(Stopped) as stop:
        place.make(arm, 0, ignore)
    assert stop.value.exit_status == 143
    run = place.folder(arm, 0) / "run"
    run.mkdir()
    (run / "latest").write_text("00000001.safetensors")
    with pytest.raises(Stopped):
        place.make(arm, 0, ignore)
    assert resumed == [None, "latest"] and place.read(arm, 0) is None


def test_a_recipe_is_the_runs_values_and_the_tables_texts_wherever_they_lie(tmp_path: Path) -> None:
    arms = [
        trained_arm("base", "", length, changes, tables=("a.jsonl",))
        for changes in ((), ("stages.sft.lr=2e-3",), ("model.predictor.causal=true",))
    ]

    def table(folder: str, caption: str) -> Path:
        (tmp_path / folder).mkdir()
        row = {"path": f"{tmp_path}/{folder}/1.jpg", "caption": caption}
        (tmp_path / folder / "a.jsonl").write_text(json.dumps(row) + "\n")
        return tmp_path / folder

    here, there, other = table("here", "A dog."), table("there", "A dog."), table("other", "A cat.")
    assert arms[0].digest(here) == arms[0].digest(there) != arms[0].digest(other)
    assert len({arm.digest(here) for arm in arms}) == 3


@pytest.mark.parametrize("name", registry.names())
def test_every_experiment_has_a_claim_a_rule_and_arms(name: str) -> None:
    found = registry.experiment_of(name)
    assert found.name == name and found.claim and found.rule and found.arms


@pytest.mark.parametrize("name", [name for name, place in registry._EXPERIMENTS.items() if "ablations" in place])
def test_an_ablations_runs_are_such_that_models_can_be_built(name: str, tmp_path: Path) -> None:
    experiment = registry.experiment_of(name)
    for file in experiment.tables:
        (tmp_path / file).touch()
    recipes = [dict(arm.recipe(tmp_path)) for arm in experiment.arms]
    for recipe in recipes:
        run = load_run(recipe["run"]["name"])
        changed = type(run).model_validate(recipe["run"])
        assert changed.architecture().predictor.embedding == 384
        assert changed.stages[-1].schedule == "constant" and changed.stages[-1].query
    assert len({json.dumps(recipe) for recipe in recipes}) == len(recipes)


@pytest.mark.parametrize("collapsed", [False, True])
def test_a_question_is_right_where_the_answer_is_ahead_of_every_wrong_one(collapsed: bool) -> None:
    rng = np.random.default_rng(0)
    words = {text: rng.normal(size=8).astype(np.float32) for text in ("yes", "no", "two", "red", "blue")}
    if collapsed:
        words = dict.fromkeys(words, words["yes"])
    asked = [Sample("0", "", "yes", negatives=("no",)), Sample("1", "", "red", negatives=("blue", "two")),
             Sample("2", "", "two", negatives=("yes", "no", "blue"))]  # fmt: skip
    seen = np.stack([words["yes"], words["blue"], words["two"] + 0.1]).astype(np.float32)
    right = [
        all(float(words[one.target] @ row) > float(words[text] @ row) + 1e-4 for text in one.negatives)
        for one, row in zip(asked, seen, strict=True)
    ]
    expected = round(100 * sum(right) / 3, 1)
    assert answered(asked, seen, lambda texts: np.stack([words[text] for text in texts])) == expected
    assert expected == (0.0 if collapsed else 66.7)


def test_words_without_layers_are_the_mean_of_their_vectors_in_any_order(tmp_path: Path) -> None:
    from vljepa_edge.nn.config import YEncoderConfig
    from vljepa_edge.nn.weights import load_y_encoder

    tokenizer = tokenizer_of_words()
    table = torch.randn(tokenizer.get_vocab_size(), 6)
    source = str(write_words(tmp_path / "words", table, tokenizer))
    encoder = load_y_encoder(YEncoderConfig(source, 6, 6, head=False, frozen=True, max_tokens=8)).eval()
    ids = torch.tensor([tokenizer.encode(text).ids for text in ("a red square", "square red a")])
    found = encoder(ids, torch.ones_like(ids))
    rows = table[ids[0]] / table[ids[0]].square().mean(-1, keepdim=True).add(1e-6).sqrt()
    torch.testing.assert_close(found[0], F.normalize(rows.mean(0), dim=-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=0)
