"""Questions made from captions: answers against the scenes that the captions were made from."""

from __future__ import annotations

import pickle
import random
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.training.everyday import scenes_in_words as scenes
from tests.training.everyday.scenes_in_words import Said, write_table
from vljepa_edge.errors import DataError, InputError
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.everyday.facts import askable, facts_of
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES
from vljepa_edge.training.everyday.questions import Questions

KIND = "vljepa_edge.training.everyday.questions:Questions"
NUMBERS = {1: "One.", 2: "Two.", 3: "Three."}
ASKED = re.compile(r"(?:Is there|Are there|Do you see) (?:an? )?((?:any )?.*?)(?: in the scene)?\?")
CALLED = {"tv": "television", "TV": "television", "plane": "airplane", "motorbike": "motorcycle", "sofa": "couch"}


def asked_for(query: str) -> str | None:
    """What `is there` is asked about, as the lists of this test have it."""
    found = ASKED.fullmatch(query)
    if found is None:
        return None
    if not found[1].startswith("any "):
        return CALLED.get(found[1], found[1])
    one = found[1].removeprefix("any ")
    own = {many: name for name, many in scenes.MANY.items()}
    return own.get(one, one.removesuffix("s"))


def check(scene: Said, query: str, answer: str, negatives: tuple[str, ...]) -> str:
    """The kind of the question, after its answer was held against the scene."""
    truth = scenes.NOUNS[scene.noun]
    name = scene.noun if scene.number == 1 else scenes.PLURALS.get(scene.noun, scene.noun + "s")
    assert answer not in negatives
    if thing := asked_for(query):
        assert answer == ("Yes." if thing in truth or thing in scene.place else "No."), query
        return "exists"
    if query.startswith("How many"):
        plural = scenes.PLURALS.get(scene.noun, scene.noun + "s")
        assert answer == NUMBERS[scene.number]
        assert query in (f"How many {plural} are there?", "How many people are there?")
        return "count"
    if query.startswith(("What colour", "What color")):
        assert scene.colour is not None and answer.lower() == f"{scene.colour}." and query.endswith(f"the {name}?")
        assert all(text.lower().strip(".") != scene.colour for text in negatives)
        return "colour"
    if query.startswith("Where"):
        assert answer.lower() == f"{scene.place}."
        return "where"
    if " doing?" in query:
        assert answer.lower() == f"{scenes.VERBS[scene.verb]} {scene.place}."
        return "doing"
    if query.startswith("Who"):
        assert ("person" in truth) == (answer != "Nobody.")
        assert answer == "Nobody." or name in answer
        return "who"
    assert query in ("What is this?", "What object is in the scene?", "What is in the picture?")
    assert answer.rstrip(".").split()[-1] in (name, scene.place.split()[-1])
    assert not {f"A {one}." for one in truth} & set(negatives)
    return "what"


@settings(
    max_examples=6,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_answers_are_true(tmp_path: Path, seed: int, wordings: int) -> None:
    rng = random.Random(seed)
    every = [scenes.any_scene(rng) for _ in range(40)]
    captions = [[scene.caption()] * (wordings == 1) or [
        Said(scene.noun, scene.number, scene.colour, scene.verb, scene.place, scenes.FORMS[n % 3]).caption()
        for n in range(wordings)
    ] for scene in every]  # fmt: skip
    source = Questions(write_table(tmp_path / "t.jsonl", captions), seed, captions=0.0)
    by_media = {f"{number}.png": scene for number, scene in enumerate(every)}
    kinds = Counter[str]()
    for index in range(len(source)):
        sample = source[index]
        if sample.query not in CAPTION_QUERIES:
            scene = by_media[Path(sample.media).name]
            kinds[check(scene, sample.query, sample.target, sample.negatives)] += 1
            assert sample.text_key == sample.target
    assert kinds["count"] and kinds["doing"] and sum(kinds.values()) > 0.8 * len(source)


def test_yes_and_no_are_balanced_for_each_thing(tmp_path: Path) -> None:
    rng = random.Random(5)
    captions = [[scenes.any_scene(rng).caption()] * 3 for _ in range(800)]
    source = Questions(write_table(tmp_path / "t.jsonl", captions), captions=0.0)
    answers: dict[str, Counter[str]] = {}
    for index in range(len(source)):
        if thing := asked_for(source[index].query):
            answers.setdefault(thing, Counter())[source[index].target] += 1
    total = sum(answers.values(), Counter())
    assert 0.45 < total["Yes."] / total.total() < 0.55
    for name, counts in answers.items():
        if counts.total() > 40:
            assert 0.3 < counts["Yes."] / counts.total() < 0.7, (name, counts)
    assert sum(counts.total() > 40 for counts in answers.values()) >= 4


@pytest.mark.parametrize(
    ("captions", "absent", "open_"),
    [
        (["A boy kicks a ball ."] * 3, ["cat", "horse"], ["person", "child", "boy", "man", "ball"]),
        (["A child kicks a ball ."] * 3, ["cat", "woman"], ["boy", "girl", "person"]),
        (["A pet sleeps ."], ["bus", "boat"], ["dog", "cat", "animal"]),
        (["A poodle sleeps ."], ["cat", "horse"], ["dog", "animal"]),
        (["A man rides a bike ."] * 3, ["cat"], ["bicycle", "motorcycle", "vehicle"]),
        (["A statue of a horse ."], ["dog"], ["horse", "animal"]),
        (["A man waits for a bus ."] * 3, ["dog"], ["bus", "vehicle"]),
        (["People skiing ."] * 3, ["dog"], ["skis", "woman"]),
        (["A clean kitchen ."] * 3, ["horse", "person"], ["sink", "oven", "table", "refrigerator"]),
        (["A clean kitchen ."], ["horse"], ["person"]),
    ],
)
def test_nothing_is_denied_that_a_caption_leaves_open(
    captions: list[str], absent: list[str], open_: list[str]
) -> None:  # fmt: skip
    facts = facts_of(tuple(captions))
    denied = {name for name in askable() if facts.absent(name)}
    assert set(absent) <= denied
    assert not set(open_) & denied


def test_captions_of_one_photograph_count_together(tmp_path: Path) -> None:
    texts = ["A dog in a field .", "Grass and trees .", "A field in summer .", "Something brown ."]
    source = Questions(write_table(tmp_path / "t.jsonl", [texts] * 40), captions=0.0)
    for index in range(len(source)):
        thing = asked_for(source[index].query)
        assert not (thing in ("dog", "animal") and source[index].target == "No.")


def test_the_same_question_whoever_asks(tmp_path: Path) -> None:
    rng = random.Random(1)
    path = write_table(tmp_path / "t.jsonl", [[scenes.any_scene(rng).caption()] * 2 for _ in range(30)])
    source, other = Questions(path, 3), open_source({"kind": KIND, "of": {"path": str(path)}, "seed": 3})
    sent = pickle.loads(pickle.dumps(source))
    assert [source[i] for i in range(60)] == [other[i] for i in range(60)] == [sent[i] for i in range(60)]
    assert [source[i] for i in range(60)] != [Questions(path, 4)[i] for i in range(60)]
    with pytest.raises(IndexError):
        source[60]


def test_a_share_is_asked_for_the_caption(tmp_path: Path) -> None:
    rng = random.Random(2)
    path = write_table(tmp_path / "t.jsonl", [[scenes.any_scene(rng).caption()] for _ in range(200)])
    table = open_source(path)
    every = Questions(path, captions=1.0)
    for index in range(200):
        assert every[index].query in CAPTION_QUERIES and every[index].target == table[index].target
    some = Questions(path, captions=0.5)
    assert 60 < sum(some[index].query in CAPTION_QUERIES for index in range(200)) < 140


def test_bad_arguments(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.jsonl", [["A dog ."]])
    with pytest.raises(InputError, match="captions must be a share from 0 to 1, got 2"):
        Questions(path, captions=2)
    with pytest.raises(DataError, match="no such file"):
        Questions(tmp_path / "none.jsonl")
