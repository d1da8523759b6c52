"""Each protocol: an embedder that knows gets everything right, one that has collapsed or gives NaN gets nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.evaluation.embedders import Knows, Same
from vljepa_edge.errors import InputError
from vljepa_edge.evaluation import items
from vljepa_edge.evaluation.embedder import Array, Look
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


CHANGE = CHANGES[0]


@pytest.mark.parametrize(
    ("task", "why"),
    [
        (items.Triplets(()), "a task must have items"),
        (items.Classification(LABELS[:1], (Labelled(CLIPS[0], 0),)), "a classification must have at least 2 classes"),
        (items.Classification((*LABELS, ()), (Labelled(CLIPS[0], 0),)), "each class must have a text"),
        (items.Anticipation(LABELS[:1], (Labelled(CLIPS[0], 0),)), "a classification must have at least 2 classes"),
        (items.Questions((Question(CLIPS[0], "Which?", ("a",), 0),)), "Which.* must have at least 2 candidates"),
        (items.Transitions((Transition(CHANGE, (CLIPS[0],), 0),)), "a transition must have at least 2 candidates"),
        (items.Retrieval((Described(CLIPS[0], ("a", "b")),)), "at least 2 videos, got 1"),
        (items.Captioning((Described(CLIPS[0], ("a",)),)), "captioning must have at least 2 videos, got 1: which"),
        (items.Retrieval(tuple(Described(clip, ()) for clip in CLIPS)), "at least 2 texts, got 0"),
        (items.Retrieval(tuple(Described(clip, ("a dog",)) for clip in CLIPS)), "not of all 12 videos, got 'a dog'"),
    ],
)  # fmt: skip
def test_a_task_at_which_nobody_can_be_wrong_is_refused(task: items.Task, why: str) -> None:
    with pytest.raises(InputError, match=why):
        measure(task, Same())


def test_figures_that_cannot_miss_are_left_out() -> None:
    for classes, names in ((5, ["top-1"]), (6, ["recall@5", "top-1"])):
        clips = tuple(Labelled(CLIPS[n], n) for n in range(classes))
        figures = measure(items.Anticipation(LABELS[:classes], clips), Same())
        assert list(figures) == names and set(figures.values()) == {0.0}
    shared = tuple(Described(clip, ("a dog", TEXTS[n]) if n < 9 else (TEXTS[n],)) for n, clip in enumerate(CLIPS))
    figures = measure(items.Retrieval(shared), Same())
    assert figures.pop("median rank") >= 4.0 and figures == {"R@1": 0.0}, "three of twelve videos are wrong for a dog"


def test_a_text_of_all_videos_is_left_out() -> None:
    every = items.Retrieval(tuple(Described(clip, ("a video", TEXTS[n])) for n, clip in enumerate(CLIPS)))
    assert measure(every, KNOWS)["R@1"] == 100.0
    assert measure(every, Same())["R@10"] == 0.0


def test_unreadable_videos_leave_no_text_alone_with_its_own() -> None:
    class Blind(Same):
        read = 0

        def embed_media(self, looks: Sequence[Look]) -> Array:
            rows = super().embed_media(looks)
            rows[self.read :] = math.nan
            return rows

    task, blind = TASKS["retrieval"], Blind()
    for blind.read, names in ((1, {"R@1"}), (4, {"R@1"}), (6, {"R@1", "R@5"})):
        figures = measure(task, blind)
        assert figures.pop("median rank") > 5.0
        assert figures == dict.fromkeys(names, 0.0)


def test_f1_takes_yes_and_no_in_capitals_too() -> None:
    questions = tuple(Question(clip, "Is it?", ("Yes", "No"), n % 2) for n, clip in enumerate(CLIPS))
    knows = Knows({clip: ("Yes", "No")[n % 2] for n, clip in enumerate(CLIPS)})
    assert measure(items.Questions(questions), knows) == {"accuracy": 100.0, "F1": 100.0}


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
