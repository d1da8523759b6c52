"""Each protocol: an embedder that knows gets everything right, one that has collapsed or gives NaN gets nothing."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.evaluation.embedders import Knows, Same
from vljepa_edge.errors import InputError
from vljepa_edge.evaluation import items
from vljepa_edge.evaluation.items import Change, Described, Labelled, Media, Question, Transition, Triplet
from vljepa_edge.evaluation.measure import measure

CLIPS = [Media(Path(f"{number}.mp4")) for number in range(12)]
TEXTS = [f"text {number}" for number in range(12)]
LABELS = tuple((text,) for text in TEXTS)
CHANGES = [Change(Media(Path(f"{n}a.png")), Media(Path(f"{n}b.png"))) for n in range(12)]
GROUPED = tuple(Labelled(clip, number, f"{(1, 2, 10)[number % 3]} s") for number, clip in enumerate(CLIPS))
TASKS: dict[str, items.Task] = {
    "classification": items.Classification(LABELS, tuple(Labelled(clip, n) for n, clip in enumerate(CLIPS))),
    "anticipation": items.Anticipation(LABELS, GROUPED),
    "retrieval": items.Retrieval(tuple(Described(clip, (TEXTS[n],)) for n, clip in enumerate(CLIPS))),
    "questions": items.Questions(
        tuple(Question(clip, "Which?", tuple(TEXTS), n, "ab"[n % 2]) for n, clip in enumerate(CLIPS))
    ),
    "yes or no": items.Questions(
        tuple(Question(clip, f"Is there {n}?", ("yes", "no"), n % 2) for n, clip in enumerate(CLIPS))
    ),
    "transition": items.Transitions(
        tuple(Transition(change, tuple(CLIPS[:4]), n % 4) for n, change in enumerate(CHANGES))
    ),
    "triplets": items.Triplets(tuple(Triplet(text, text, f"not {text}", "xy"[n % 2]) for n, text in enumerate(TEXTS))),
}
KNOWS = Knows(
    {
        **dict(zip(CLIPS, TEXTS, strict=True)),
        **{change: TEXTS[n % 4] for n, change in enumerate(CHANGES)},
        **{(clip, f"Is there {n}?"): ("yes", "no")[n % 2] for n, clip in enumerate(CLIPS)},
    }
)
NAMES = {
    "classification": ["top-1", "top-5"],
    "anticipation": ["recall@5, 1 s", "top-1, 1 s", "recall@5, 2 s", "top-1, 2 s", "recall@5, 10 s", "top-1, 10 s"],
    "retrieval": ["R@1", "R@5", "R@10", "median rank"],
    "questions": ["accuracy", "mean accuracy", "accuracy, a", "accuracy, b"],
    "yes or no": ["accuracy", "F1"],
    "transition": ["accuracy"],
    "triplets": ["mean", "x", "y"],
}


@pytest.mark.parametrize("name", TASKS)
def test_who_knows_gets_everything_right(name: str) -> None:
    figures = measure(TASKS[name], KNOWS)
    assert list(figures) == NAMES[name]
    assert all(value == (1.0 if figure == "median rank" else 100.0) for figure, value in figures.items())


@pytest.mark.parametrize("value", [0.3, 0.0, math.nan, math.inf])
@pytest.mark.parametrize("name", TASKS)
def test_who_has_collapsed_gets_nothing_right(name: str, value: float) -> None:
    figures = measure(TASKS[name], Same(value))
    assert figures.pop("median rank", 12.0) >= 12.0
    assert set(figures.values()) == {0.0}


def test_a_class_of_several_texts_is_the_mean_of_their_embeddings() -> None:
    labels = (("text 0", "text 1"), ("text 2",))
    task = items.Classification(labels, (Labelled(CLIPS[0], 0), Labelled(CLIPS[1], 0), Labelled(CLIPS[2], 1)))
    assert measure(task, KNOWS)["top-1"] == 100.0


def test_equal_texts_share_their_videos() -> None:
    task = items.Retrieval((Described(CLIPS[0], ("text 0",)), Described(CLIPS[1], ("text 0", "text 1"))))
    assert measure(task, KNOWS)["R@1"] == 100.0


def test_captions_are_scored_by_cider() -> None:
    pytest.importorskip("pycocoevalcap")
    clips = [Media(Path("a.mp4")), Media(Path("b.mp4"))]
    said = ("a man opens a door slowly", "the dog runs over green grass")
    task = items.Captioning(tuple(Described(clip, (text,)) for clip, text in zip(clips, said, strict=True)))
    right = Knows(dict(zip(clips, said, strict=True)))
    swapped = Knows(dict(zip(clips, reversed(said), strict=True)))
    assert measure(task, right)["CIDEr"] > 900
    assert measure(task, swapped)["CIDEr"] == 0.0
    assert measure(task, right)["different texts"] == 100.0


def test_a_model_that_says_the_same_of_everything_is_seen_beside_its_cider() -> None:
    pytest.importorskip("pycocoevalcap")
    clips = [Media(Path(f"{name}.mp4")) for name in "abcd"]
    said = ("a", "a", "dogs run over grass", "two men ride bikes")
    task = items.Captioning(tuple(Described(clip, (text,)) for clip, text in zip(clips, said, strict=True)))
    collapsed = measure(task, Knows(dict.fromkeys(clips, "a")))
    assert collapsed["CIDEr"] > 100 and collapsed["different texts"] == 25.0


@pytest.mark.parametrize(
    "task",
    [
        items.Classification(LABELS[:1], tuple(Labelled(clip, 0) for clip in CLIPS)),
        items.Retrieval((Described(CLIPS[0], (TEXTS[0],)),)),
        items.Retrieval(tuple(Described(clip, (TEXTS[0],)) for clip in CLIPS)),
    ],
)
def test_what_nobody_can_get_wrong_is_an_error(task: items.Task) -> None:
    with pytest.raises(InputError, match=r"must have (two classes or more, got 1|a text that one)"):
        measure(task, Same())


def test_of_five_classes_all_are_among_the_five_nearest() -> None:
    task = items.Anticipation(LABELS[:5], tuple(Labelled(clip, n) for n, clip in enumerate(CLIPS[:5])))
    assert measure(task, Same()) == {"top-1": 0.0} and measure(task, KNOWS) == {"top-1": 100.0}


def test_yes_and_no_have_an_f1_however_they_are_written() -> None:
    asked = tuple(Question(clip, f"Is there {n}?", ("Yes", "No"), n % 2) for n, clip in enumerate(CLIPS))
    assert measure(items.Questions(asked), Same())["F1"] == 0.0


def test_nothing_to_measure_is_an_error() -> None:
    with pytest.raises(InputError, match="must have items"):
        measure(items.Triplets(()), KNOWS)
