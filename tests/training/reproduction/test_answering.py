"""Answers and what is guessed: figures against scikit-learn, and pictures that change places."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from tests.evaluation.embedders import Knows, Same
from vljepa_edge.evaluation.items import Media, Question, Questions
from vljepa_edge.training.reproduction.answering import accuracies, answers, hidden, shuffled, yes_figures

YES_NO = ("Yes.", "No.")
RNG = np.random.default_rng(0)


def task(count: int = 40) -> Questions:
    right = RNG.integers(0, 2, count).tolist()
    media = [Media(Path(f"{number % 10}.png")) for number in range(count)]
    return Questions(tuple(Question(media[n], f"question {n}", YES_NO, right[n], "ab"[n % 2]) for n in range(count)))


def test_figures_are_those_of_scikit_learn() -> None:
    asked, given = task(), RNG.integers(0, 2, 40)
    wanted = np.array([item.answer for item in asked.items])
    found = accuracies(asked, given)
    parts = [slice(0, None, 2), slice(1, None, 2)]
    assert [found["a"], found["b"]] == pytest.approx([100 * accuracy_score(wanted[p], given[p]) for p in parts])
    yes = yes_figures(asked, given)
    assert yes["F1"] == pytest.approx(np.mean([100 * f1_score(wanted[p], given[p], pos_label=0) for p in parts]))
    assert yes["yes"] == pytest.approx(100 * np.mean(given == 0))


def test_the_nearest_candidate_is_the_answer_and_a_tie_is_none() -> None:
    asked = task()
    knows = Knows({(item.media, item.text): item.candidates[item.answer] for item in asked.items})
    given = answers(asked, knows)
    assert accuracies(asked, given) == {"a": 100.0, "b": 100.0} and yes_figures(asked, given)["F1"] == 100.0
    assert (answers(asked, Same()) == -1).all() and accuracies(asked, answers(asked, Same()))["a"] == 0.0


def test_a_rule_may_choose_between_the_candidates() -> None:
    asked = task()
    knows = Knows({(item.media, item.text): item.candidates[item.answer] for item in asked.items})
    turned = answers(asked, knows, lambda scores: -scores)
    assert accuracies(asked, turned) == {"a": 0.0, "b": 0.0}


def test_who_sees_nothing_is_asked_the_same_questions(tmp_path: Path) -> None:
    asked = task()
    blind = hidden(asked, tmp_path)
    assert len({item.media for item in blind.items}) == 1 and blind.items[0].media.path.is_file()
    for other in (blind, shuffled(asked, 0)):
        assert [(i.text, i.answer, i.group) for i in other.items] == [(i.text, i.answer, i.group) for i in asked.items]


def test_pictures_change_places_within_a_group_and_none_stays() -> None:
    asked = task()
    moved = shuffled(asked, 1)
    assert all(one.media != other.media for one, other in zip(asked.items, moved.items, strict=True))
    for group in "ab":
        before, after = (Counter(i.media for i in t.items if i.group == group) for t in (asked, moved))
        assert before.keys() == after.keys() and sorted(before.values()) == sorted(after.values())
