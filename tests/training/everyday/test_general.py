"""Captions in general words: never more than the caption says."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.everyday import scenes_in_words as scenes
from tests.training.everyday.scenes_in_words import write_table
from vljepa_edge.errors import InputError
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.everyday.general import General, general_sentences, generalised
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES
from vljepa_edge.training.everyday.texts import text_key

KIND = "vljepa_edge.training.everyday.general:General"
OUTSIDE = ("on the street", "in the snow", "on a beach", "in the grass")


def true_words(scene: scenes.Said) -> set[str]:
    """Every word that a true sentence about a scene may have."""
    names = scenes.NOUNS[scene.noun]
    words = {"there", "is", "are", "does", "do", "something"}
    if scene.number == 1:
        words |= names | {"a", "an", scenes.THIRDS[scene.verb]}
        words |= {"someone"} if "person" in names else set()
    else:
        words |= {scenes.MANY[name] for name in names} | {scenes.NUMBERS[scene.number], scene.verb}
    if scene.verb in ("run", "jump"):
        words |= {"moves" if scene.number == 1 else "move"}
    if scene.place in OUTSIDE:
        words.add("outside")
    if scene.place == "in a kitchen":
        words.add("inside")
    return words


@given(st.integers(0, 2**32))
def test_general_sentences_say_what_the_scene_is(seed: int) -> None:
    scene = scenes.any_scene(random.Random(seed))
    found = generalised(scene.caption())
    assert len(found) >= 2
    for text in found:
        assert set(text.rstrip(".").lower().split()) <= true_words(scene), (scene.caption(), text)
    general = {"person": "Someone is there.", "animal": "There is an animal.", "vehicle": "There is a vehicle."}
    top = next(name for name in general if name in scenes.NOUNS[scene.noun])
    assert (general[top] if scene.number == 1 else f"There are {scenes.MANY[top]}.") in found


@pytest.mark.parametrize(
    ("caption", "some", "none"),
    [
        (
            "A dog runs through the grass.",
            ["An animal runs outside.", "A dog runs.", "An animal moves.", "There is an animal."],
            ["An animal is in the water."],
        ),
        (
            "A man in a red shirt plays guitar",
            ["A person plays music.", "A man plays an instrument.", "Someone does something."],
            ["A person plays a game."],
        ),
        ("Two kids are playing soccer together .", ["Two children play a game.", "People do something."], []),
        ("A boy and a girl sit on a bench .", ["Two people sit.", "There are people."], ["Someone is there."]),
        ("A woman holds an umbrella .", ["A person holds an umbrella.", "A person holds something."], []),
        ("A black cat is in a sink .", ["There is an animal."], ["A cat sits."]),
        ("A man about to jump", ["Someone is there."], ["A person jumps.", "A man moves."]),
        ("The dog is not running .", ["There is an animal."], ["An animal runs.", "An animal moves."]),
        ("A statue of a man riding a horse", [], ["Someone is there.", "There is an animal."]),
        ("A toy car on a table .", [], ["There is a vehicle."]),
    ],
)
def test_by_hand(caption: str, some: list[str], none: list[str]) -> None:
    found = generalised(caption)
    assert set(some) <= set(found), found
    assert not set(none) & set(found), found


def table(folder: Path, count: int) -> Path:
    rng = random.Random(count)
    made = [scenes.any_scene(rng) for _ in range(count)]
    return write_table(
        folder / f"{count}.jsonl",
        [[scene.caption(), scenes.Said(**{**vars(scene), "form": "is"}).caption()] for scene in made],
    )


def test_right_answers_are_no_negatives(tmp_path: Path) -> None:
    path = table(tmp_path, 40)
    plain, source = open_source(path), General(path, share=0.5)
    general = 0
    for index in range(len(source)):
        sample, original = source[index], plain[index]
        assert sample.query in CAPTION_QUERIES and sample.media == original.media
        known = {sample.text_key or sample.target, *sample.also}
        if sample.target == original.target:
            assert {text_key(text) for text in generalised(original.target)} <= known
        else:
            general += 1
            assert sample.target in generalised(original.target)
            assert sample.text_key == text_key(sample.target)
            assert {original.target, *original.also} <= known
        assert len(set(sample.also)) == len(sample.also) and sample.text_key not in sample.also
    assert 20 < general < 60


def test_levels_and_samples_are_the_same_whoever_asks(tmp_path: Path) -> None:
    path = table(tmp_path, 30)
    source = General(path, 2)
    other = pickle.loads(pickle.dumps(open_source({"kind": KIND, "of": str(path), "seed": 2})))
    assert [source[i] for i in range(60)] == [other[i] for i in range(60)]
    assert len({len(source[i].target.split()) for i in range(60)}) > 2
    assert [source[i].target for i in range(60)] != [General(path, 3)[i].target for i in range(60)]


def test_the_bank_counts_photographs(tmp_path: Path) -> None:
    path = write_table(
        tmp_path / "t.jsonl",
        [["A dog runs .", "A dog is running ."], ["A cat sleeps ."], ["A red bus ."], ["Xyzzy ."]],
    )
    counts = dict(general_sentences(path))
    assert counts["There is an animal."] == 2 and counts["There is a vehicle."] == 1 and counts["A dog runs."] == 1
    assert [*counts.values()] == sorted(counts.values(), reverse=True)


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="share must be from 0 to 1, got -1"):
        General(table(tmp_path, 2), share=-1)
