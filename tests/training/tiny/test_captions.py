"""What is said about scenes: grammar, wordings that say what they mean, true and balanced questions."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vljepa_edge.training.everyday.queries import CAPTION_QUERIES
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.drawn_figures import motion_of

NAMES = ["owl", "red fox", "glass", "butterfly", "toy car"]
SCENES = [
    *(Scene(motion, "owl") for motion in say.ONE),
    *(Scene(motion, "owl", None, count) for motion in say.COUNTED_MOTIONS for count in (2, 3)),
    *(Scene(motion, "owl", "toy car") for motion in say.TWO),
]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("owl", "an owl"), ("cat", "a cat"), ("apple", "an apple"), ("iguana", "an iguana"), ("Eagle", "an Eagle"),
        ("umbrella", "an umbrella"), ("unicycle", "a unicycle"), ("ukulele", "a ukulele"), ("used car", "a used car"),
        ("red fox", "a red fox"), ("old man", "an old man"),
    ],
)  # fmt: skip
def test_article(name: str, expected: str) -> None:
    assert say.article(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("owl", "owls"), ("fox", "foxes"), ("red fox", "red foxes"), ("butterfly", "butterflies"), ("toy", "toys"),
        ("glass", "glasses"), ("peach", "peaches"), ("brush", "brushes"), ("mouse", "mice"),
        ("field mouse", "field mice"),
        ("wolf", "wolves"), ("sheep", "sheep"), ("old man", "old men"), ("human", "humans"), ("titmouse", "titmouses"),
    ],
)  # fmt: skip
def test_plural(name: str, expected: str) -> None:
    assert say.plural(name) == expected


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_captions_are_different_sentences_about_the_scene(scene: Scene) -> None:
    texts = say.captions(scene)
    assert len(set(texts)) == len(texts) >= 4
    for text in texts:
        assert re.fullmatch(r"[A-Z][a-z ,]+\.", text) and "  " not in text
        for name in scene.names():
            assert f" {say.plural(name) if scene.count > 1 else name}" in f" {text}"
        if scene.count > 1:
            assert say.COUNTS[scene.count - 1] in text.lower()
            assert not re.search(r"\b(moves|is|travels|drifts|heads|goes|stays|does|remains|climbs|sinks)\b", text)


def test_the_unseen_wording_is_never_among_the_trained_ones() -> None:
    for motion in say.ONE:
        for count in (1, 2, 3) if motion in say.COUNTED_MOTIONS else (1,):
            scene = Scene(motion, "owl", None, count)
            for definite in (True, False):
                assert say.caption(scene, say.UNSEEN, definite) not in say.captions(scene)


def test_no_wording_is_said_of_two_motions() -> None:
    owners: dict[str, set[str]] = {}
    for scene in SCENES:
        for text in [*say.captions(scene), say.caption(scene, say.UNSEEN)]:
            owners.setdefault(text, set()).add(scene.motion)
    assert {text: motions for text, motions in owners.items() if len(motions) > 1} == {}


@pytest.mark.parametrize("name", ["owl", "camera", "flower", "bright shrimp", "spinning top", "still life", "cup"])
@pytest.mark.parametrize("motion", say.ONE)
def test_every_wording_of_a_motion_is_read_back_as_that_motion(motion: str, name: str) -> None:
    for count in range(1, say.MAX_COUNT + 1) if motion in say.COUNTED_MOTIONS else (1,):
        scene = Scene(motion, name, None, count)
        unseen = [say.caption(scene, say.UNSEEN, definite) for definite in (True, False)]
        for text in (*say.captions(scene), *unseen):
            assert motion_of(text, name) == motion, text


@pytest.mark.parametrize(
    ("text", "motion"),
    [
        ("The flower appears.", "appear"),  # no 'lower'
        ("The bright light vanishes.", "vanish"),  # no 'right'
        ("A bowl of spinach shrinks.", "shrink"),  # no 'spin'
        ("The shops are rotating.", "spin"),  # no 'hops'
        ("A distillery stays still.", "still"),
        ("An owl in the kitchen.", None),
        ("A photo of an owl.", None),
        ("", None),
    ],
)
def test_a_wrong_name_is_not_read_as_a_motion(text: str, motion: str | None) -> None:
    assert motion_of(text, "tulip") == motion


@given(st.sampled_from(SCENES))
def test_backwards_twice_is_forwards(scene: Scene) -> None:
    assert scene.backwards().backwards() == scene
    assert scene.backwards().names() == scene.names() and scene.backwards().count == scene.count


def test_only_motions_with_an_arrow_of_time_change_backwards() -> None:
    unchanged = {motion for motion, back in say.BACKWARDS.items() if motion == back}
    assert unchanged == {"still", "spin", "bounce", "swap", "both_still"}
    assert set(say.BACKWARDS) == set(say.BACKWARDS.values()) == set(say.MOTIONS)


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_a_single_frame_shows_nothing_moving(scene: Scene) -> None:
    rest = scene.at_rest()
    assert rest.names() == scene.names() and rest.count == scene.count
    assert rest.motion in ("still", "both_still") and rest.backwards() == rest


def truth(scene: Scene, asked: say.Question) -> str:
    """The right answer, worked out from the words of the question."""
    text = asked.text.lower()
    if asked.kind == "exists":
        return "Yes." if any(re.search(rf"\ban? {name}\b", text) for name in scene.names()) else "No."
    if asked.kind == "count":
        return {1: "One.", 2: "Two.", 3: "Three."}[2 if scene.second else scene.count]
    if asked.kind == "direction":
        return f"{scene.motion.capitalize()}."
    if asked.kind == "object":
        return f"{say.article(scene.name).capitalize()}."
    happening = {
        "left": "moving to the left", "right": "moving to the right", "up": "moving up", "down": "moving down",
        "grow": "growing", "shrink": "shrinking", "still": "staying still", "spin": "spinning", "appear": "appearing",
        "vanish": "disappearing", "bounce": "bouncing",
    }[scene.motion]  # fmt: skip
    if asked.kind == "doing":
        return f"{happening.capitalize()}."
    assert asked.kind == "moves"
    return "Yes." if text.endswith(f" {happening}?") else "No."


@pytest.mark.parametrize("kind", say.QUESTION_KINDS)
@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_answers_are_true(scene: Scene, kind: str) -> None:
    for seed in range(40):
        asked = say.question(scene, kind, random.Random(seed), NAMES)
        if asked is None:
            break
        assert asked.text.endswith(("?", ".")) and "  " not in asked.text
        assert asked.answer == truth(scene, asked), asked


def test_a_kind_of_question_is_asked_where_it_has_an_answer_and_only_there() -> None:
    rng = random.Random(0)
    asked = {(scene, kind): say.question(scene, kind, rng, NAMES) for scene in SCENES for kind in say.QUESTION_KINDS}
    for (scene, kind), question in asked.items():
        one = scene.second is None
        allowed = {
            "exists": True, "count": True, "object": one and scene.count == 1, "doing": one, "moves": one,
            "direction": one and scene.motion in say.DIRECTIONS,
        }[kind]  # fmt: skip
        assert (question is not None) == allowed, (scene, kind)
    with pytest.raises(ValueError, match="unknown kind of question 'colour'"):
        say.question(SCENES[0], "colour", rng, NAMES)


@pytest.mark.parametrize("kind", ["exists", "moves"])
@pytest.mark.parametrize("scene", [SCENES[0], SCENES[12], SCENES[6]], ids=str)
def test_yes_and_no_are_equally_likely_whatever_the_words(scene: Scene, kind: str) -> None:
    answers: dict[str, Counter[str]] = {}
    for seed in range(2000):
        question = say.question(scene, kind, random.Random(seed), NAMES)
        assert question is not None
        form = question.text.split()[0] if kind == "exists" else re.sub(r" (\w+ing\b.*)", "", question.text)
        answers.setdefault(form, Counter())[question.answer] += 1
    for form, counted in answers.items():
        assert abs(counted["Yes."] / counted.total() - 0.5) < 0.06, form


def test_caption_queries_are_answered_with_a_caption() -> None:
    for seed in range(20):
        question = say.question(SCENES[1], "caption", random.Random(seed), NAMES)
        assert question is not None
        assert question.text in CAPTION_QUERIES and question.answer in say.captions(SCENES[1])
