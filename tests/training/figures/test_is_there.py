"""Is it there: how questions are drawn, and what the two ways to answer make of models that know and don't."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import vljepa_edge
from tests.toy_bundle import write_toy_bundle
from tests.training.figures.tables import vector, write_table
from vljepa_edge.errors import DataError
from vljepa_edge.evaluation import kept as kept_arrays
from vljepa_edge.training.figures import is_there
from vljepa_edge.training.figures.captioned import Captioned, read_captioned
from vljepa_edge.training.figures.is_there import Asked, ask, chooses, draw, is_there_figures, question_text

THINGS = ("dog", "cat", "bicycle", "pizza", "clock")


def captioned(count: int = 120) -> Captioned:
    """Photographs of one thing each."""
    captions = [f"There is a {THINGS[i % len(THINGS)]}." for i in range(count)]
    items = tuple(Path(f"{i}.png") for i in range(count))
    return Captioned("t", items, tuple(captions), np.arange(count), "digest")


def test_questions_are_balanced_by_object_and_stay_in_their_half() -> None:
    table = captioned()
    for choosing in (True, False):
        asked = draw(table, choosing=choosing)
        assert asked == draw(table, choosing=choosing)
        assert all(chooses(table.items[question.item].name) == choosing for question in asked)
        answers = Counter((question.thing, question.there) for question in asked)
        assert set(answers) == {(thing, there) for thing in THINGS for there in (True, False)}
        assert all(answers[thing, True] == answers[thing, False] for thing in THINGS)
        for question in asked:
            assert (question.thing in table.captions[question.item]) == question.there
        assert len(set(asked)) == len(asked)


def test_nothing_is_asked_that_captions_leave_open() -> None:
    items = tuple(Path(f"{i}.png") for i in range(60))
    captions = ("A dog.", "An animal sleeps.", "A tree.") * 20
    asked = draw(Captioned("t", items, captions, np.arange(60), "d"), choosing=False)
    assert {captions[question.item] for question in asked if not question.there} == {"A tree."}
    with pytest.raises(DataError, match="no caption names an object"):
        draw(Captioned("t", items, ("A tree.",) * 60, np.arange(60), "d"), choosing=False)


@pytest.mark.parametrize(
    ("thing", "text"),
    [("dog", "Is there a dog?"), ("umbrella", "Is there an umbrella?"), ("skis", "Are there skis?")],
)
def test_questions_are_grammatical(thing: str, text: str) -> None:
    assert question_text(thing) == text


def figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seen: Any, said: Any, presence: Any = lambda yes, no: None
) -> dict[str, Any]:
    """Of a model that sees `seen` of an item's caption and predicts `said` of a question."""
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path))
    table = captioned(400)
    monkeypatch.setattr(is_there, "embed_items", lambda *_: np.stack([seen(text) for text in table.captions]))
    monkeypatch.setattr(is_there, "_predict", lambda model, table, asked: np.stack([said(one) for one in asked]))
    prompts = SimpleNamespace(classify="There is a {label}.", classify_query=None, answer="{candidate}")
    model = SimpleNamespace(
        manifest=SimpleNamespace(prompts=prompts),
        embed_text=lambda texts: np.stack([vector(t) for t in texts]),
        confidence=SimpleNamespace(presence=presence, label=lambda cosines: None),
    )
    return is_there_figures(model, table)  # type: ignore[arg-type]


def test_a_model_that_knows_is_always_right(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def said(question: Asked) -> np.ndarray:
        return vector("Yes." if question.there else "No.")

    found = figures(monkeypatch, tmp_path, lambda text: vector(text), said)
    assert found["by_cosine"] == found["by_asking"] == found["area"] == 100.0
    assert found["questions"] == len(draw(captioned(400), choosing=False)) > 100


def test_a_calibrator_decides_and_its_error_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def said(question: Asked) -> np.ndarray:  # always nearer to yes, and nearer still where it is there
        return np.array(vector("Yes.") * (2.0 if question.there else 1.0))

    same = vector("anything")
    plain = figures(monkeypatch, tmp_path, lambda text: same, said)
    assert plain["by_asking"] == 50.0 and "ECE_presence" not in plain
    sure = figures(monkeypatch, tmp_path, lambda text: same, said, lambda yes, no: 0.9 if yes - no > 1.5 else 0.2)
    assert sure["by_asking"] == 100.0
    assert sure["ECE_presence"] == pytest.approx(0.15, abs=1e-3)  # as often 0.1 too low as 0.2 too high


def test_a_collapsed_model_is_at_chance_by_cosine_and_never_right_by_asking(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    same = vector("anything")
    found = figures(monkeypatch, tmp_path, lambda text: same, lambda question: 0 * same)
    assert found["by_asking"] == 0.0
    assert found["by_cosine"] == 50.0 and found["area"] == pytest.approx(50.0, abs=1.0)
    yes = figures(monkeypatch, tmp_path, lambda text: same, lambda question: vector("Yes."))
    assert yes["by_asking"] == 50.0


def test_what_is_asked_is_what_model_answer_and_classify_compare(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    table = read_captioned(write_table(tmp_path, {"red": ["A dog."], "green": ["A cat."], "blue": ["A car."]}))
    model = vljepa_edge.load(write_toy_bundle(tmp_path / "toy"), threads=1)
    prompts = model.manifest.prompts
    asked = [Asked(2, "dog", False), Asked(0, "dog", True), Asked(0, "umbrella", False)]
    cosines, answers = ask(model, table, asked)
    for row, question in enumerate(asked):
        item = table.items[question.item]
        yes, no = answers[row]
        answer = model.answer(item, question_text(question.thing), ["Yes.", "No."])
        assert answer.text == ("Yes." if yes > no else "No.")
        chances = {score.label: score.score for score in answer.scores}
        assert np.log(chances["Yes."] / chances["No."]) == pytest.approx(prompts.scale * (yes - no), abs=1e-3)
        label = model.embed_text([prompts.classify.replace("{label}", question.thing)])[0]
        assert cosines[row] == pytest.approx(float(model.embed_video(item, prompts.classify_query) @ label), abs=1e-5)
    assert len(list(kept_arrays.folder().iterdir())) == 2
    again = ask(model, table, asked)
    assert np.array_equal(again[0], cosines) and np.array_equal(again[1], answers)
