"""What is measured of which table, against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.finetune.figures import Task, are_classes, tasks


def clip(number: int, target: str, query: str = "") -> Sample:
    return Sample(str(number), f"{number}.mp4", target, query)


def measured(samples: list[Sample], held_out: list[int]) -> tuple[dict[str, Task], list[str]]:
    texts = list(dict.fromkeys(sample.target for sample in samples))
    return {task.name: task for task in tasks(samples, np.array(held_out), texts)}, texts


def one_hot(places: list[int], width: int = 8) -> np.ndarray:
    return np.eye(width, dtype=np.float32)[places]


CLASSES = [clip(i, ("pour", "wipe", "stir")[i % 3]) for i in range(12)]


def test_captions_that_come_back_are_classes() -> None:
    found, texts = measured(CLASSES, [0, 1, 2, 3])
    assert list(found) == ["top-1"]
    task = found["top-1"]
    assert task.chance == 33.3 and len(task.trials) == 4
    truth = [texts.index(sample.target) for sample in CLASSES]
    right = one_hot(truth)
    assert task.score(right, one_hot([0, 1, 2])) == 100.0
    wrong = right.copy()
    wrong[0] = one_hot([1])
    assert task.score(wrong, one_hot([0, 1, 2])) == 75.0


def test_a_model_that_says_one_thing_of_all_is_right_about_nothing() -> None:
    found, _ = measured(CLASSES, [0, 1, 2])
    same = np.ones((12, 8), np.float32) / np.sqrt(8)
    assert found["top-1"].score(same, same[:3]) == 0.0


def test_captions_of_their_own_are_searched_for() -> None:
    samples = [clip(i, f"caption {i}") for i in range(20)]
    samples[3] = clip(3, "caption 2")  # two clips of one caption
    assert not are_classes(samples)
    found, texts = measured(samples, [2, 3, 4, 5, 6, 7])
    assert list(found) == ["R@1", "R@5"]
    assert len(found["R@1"].trials) == 5
    # one of 5 captions is right for 2 of 6 clips, the others for 1
    assert found["R@1"].chance == round(100 * (2 / 6 + 4 * 1 / 6) / 5, 1)
    assert found["R@5"].chance == round(100 * (1 + 4 * 5 / 6) / 5, 1)
    clips = np.zeros((20, 8), np.float32)
    clips[[2, 3, 4, 5, 6, 7]] = one_hot([0, 1, 2, 3, 4, 5])
    asked = np.zeros((len(texts), 8), np.float32)
    for text, row in (("caption 2", 1), ("caption 4", 2), ("caption 5", 3), ("caption 6", 4), ("caption 7", 0)):
        asked[texts.index(text)] = one_hot([row])
    assert found["R@1"].score(clips, asked) == 80.0  # caption 7 finds clip 2


def test_answers_are_told_from_other_answers_to_the_same_question() -> None:
    questions = ["Is it on?"] * 6 + ["What is it?"]
    samples = [clip(i, "cup" if i == 6 else ("yes", "no")[i % 2], question) for i, question in enumerate(questions)]
    found, texts = measured(samples, [0, 1, 6])
    assert list(found) == ["answers"]
    task = found["answers"]
    assert [len(trial.candidates) for trial in task.trials] == [2, 2, 3]
    assert task.chance == round(100 * (1 / 2 + 1 / 2 + 1 / 3) / 3, 1)
    clips = one_hot([texts.index("yes"), texts.index("yes"), 0, 0, 0, 0, texts.index("cup")])
    assert task.score(clips, one_hot([0, 1, 2])) == pytest.approx(66.7)


def test_a_table_of_both_kinds_is_measured_both_ways() -> None:
    samples = [*CLASSES, *(clip(20 + i, ("yes", "no")[i % 2], "Is it on?") for i in range(6))]
    found, texts = measured(samples, [0, 1, 12, 13])
    assert list(found) == ["top-1", "answers"]
    assert found["top-1"].chance == 33.3  # answers are no captions
    assert [texts[place] for place in found["answers"].trials[0].candidates] == ["yes", "no"]
