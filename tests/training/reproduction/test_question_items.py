"""Questions how many there are, and whether something is there: balanced, and true."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import label

from tests.training.reproduction.drawn_stand_ins import held_out
from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.bundle_embedder import clips
from vljepa_edge.training.figures.captioned import Captioned
from vljepa_edge.training.reproduction.counting_items import (
    ANSWERS,
    COMPLEX,
    PHOTOGRAPHS,
    SIMPLE,
    crowd,
    drawn_counts,
    photographed_counts,
)
from vljepa_edge.training.reproduction.presence_items import GROUPS, PER_PHOTOGRAPH, presence
from vljepa_edge.video.stretch import FramePlan

PLAN = FramePlan(8, 224, 224, rate=4.0)


def table(*photographs: tuple[str, ...]) -> Captioned:
    captions = tuple(text for own in photographs for text in own)
    owner = np.repeat(np.arange(len(photographs)), [len(own) for own in photographs])
    return Captioned("made", tuple(Path(f"{i}.jpg") for i in range(len(photographs))), captions, owner, "")


def test_as_many_objects_are_in_a_clip_as_the_answer_says(tmp_path: Path) -> None:
    task = drawn_counts(tmp_path, held_out(), 6, 0)
    assert Counter((item.group, item.answer) for item in task.items) == {
        (group, answer): 2 for group in (SIMPLE, COMPLEX) for answer in range(3)
    }
    for item in task.items:
        assert item.candidates == ANSWERS == ("One.", "Two.", "Three.") and item.text.startswith("How many ")
        (seen,) = clips(item.media, PLAN, 4)
        reds = []
        for frame in seen:  # bright green marks an object, its red says which it is
            spots, count = label(frame[:, :, 1] > 200)
            reds = [int(np.median(frame[:, :, 0][spots == one])) for one in range(1, count + 1)]
            assert count == len(reds) >= item.answer + 1
        alike = Counter(reds)
        assert item.answer + 1 in alike.values()
        assert (len(reds) == item.answer + 1) if item.group == SIMPLE else (len(alike) == 2)


def test_the_size_of_an_object_does_not_tell_how_many_there_are() -> None:
    painter, rng = held_out().painter, random.Random(0)
    sizes = []
    for count in (1, 2, 3):
        areas: list[int] = []
        for _ in range(16):
            spots, found = label(crowd(painter, ["owl"] * count, "still", rng)[0, :, :, 1] > 200)
            areas += np.bincount(spots.ravel())[1:].tolist()
            assert found == count
        sizes.append(np.mean(areas))
    assert max(sizes) / min(sizes) < 1.15


def test_counts_of_captions_are_balanced_and_contradicted_by_none() -> None:
    photographs = table(
        ("Two dogs run on a beach.", "A pair of dogs on sand."),
        ("Three cats sit on a bed.",),
        ("One horse stands on a field.", "A single horse in grass."),
        ("Two boats on a lake.",),
        ("Two birds on a wire.", "Three birds on a wire."),
        ("Several people in a park.",),
    )
    task = photographed_counts(photographs, 0)
    assert Counter(item.answer for item in task.items) == {0: 1, 1: 1, 2: 1}
    said = {(str(item.media.path), item.text): ANSWERS[item.answer] for item in task.items}
    assert said.get(("1.jpg", "How many cats are there?")) == "Three."
    assert said.get(("2.jpg", "How many horses are there?")) == "One."
    assert not {path for path, _ in said} & {"4.jpg", "5.jpg"} and {item.group for item in task.items} == {PHOTOGRAPHS}
    with pytest.raises(DataError, match="count one, two and three"):
        photographed_counts(table(("Two dogs run.",)), 0)


PHOTOS = table(
    ("A dog sleeps on grass.",),
    ("A dog with a frisbee.",),
    ("A dog and a frisbee on the lawn.",),
    ("A cat beside a vase.",),
    ("A zebra.",),
    ("A dog next to a car.",),
    ("A cat.",),
)


def test_absent_objects_are_chosen_in_three_ways() -> None:
    task = presence(PHOTOS, 0)
    no: dict[tuple[str, str], set[str]] = {}
    for item in task.items:
        if item.answer == 1:
            no.setdefault((item.media.path.name, item.group), set()).add(item.text)
    assert no["0.jpg", "popular"] == {"Is there a cat?"}  # two photographs; a frisbee's two come later in the list
    assert no["0.jpg", "adversarial"] == {"Is there a frisbee?"}  # two of the dogs have one
    assert no["3.jpg", "popular"] == {"Is there a dog?", "Is there a frisbee?"}  # it shows two things, so two are asked
    assert no["6.jpg", "adversarial"] == {"Is there a vase?"}


def test_yes_and_no_are_asked_equally_often_and_yes_alike_in_each_group() -> None:
    task = presence(PHOTOS, 1)
    yes = {}
    for group in GROUPS:
        own = [item for item in task.items if item.group == group]
        per = Counter((item.media, item.answer) for item in own)
        assert all(per[media, 0] == per[media, 1] <= PER_PHOTOGRAPH for media, _ in per)
        yes[group] = [(item.media, item.text) for item in own if item.answer == 0]
        for item in own:
            thing = item.text.removeprefix("Is there a ").rstrip("?")
            captions = " ".join(PHOTOS.of_item(int(item.media.path.stem)))
            assert (thing in captions) == (item.answer == 0)
    assert yes["random"] == yes["popular"] == yes["adversarial"]


def test_photographs_of_nothing_can_not_be_asked_about() -> None:
    with pytest.raises(DataError, match="no caption names an object"):
        presence(table(("A sunset.",)), 0)
