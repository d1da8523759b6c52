"""What the rules see in captions: against captions read by hand, and captions made from scenes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.everyday import scenes_in_words as scenes
from vljepa_edge.training.everyday.general import generalised
from vljepa_edge.training.everyday.parse import Phrase, parse
from vljepa_edge.training.everyday.words import MANY, lexicon

READ = [
    # caption, subject, lemma of the verb, what is done
    ("A brown dog runs through the grass .", ["a brown dog"], "run", "runs through the grass"),
    ("Two men are riding bikes down a hill.", ["two men"], "ride", "riding bikes down a hill"),
    ("A man in a red shirt plays guitar", ["a man"], "play", "plays guitar"),
    ("A man wearing a hat and glasses rides a horse .", ["a man"], "ride", "rides a horse"),
    ("A girl is wearing a pink dress .", ["a girl"], "wear", "wearing a pink dress"),
    ("A man and a dog walk on the beach .", ["a man", "a dog"], "walk", "walk on the beach"),
    ("There is a small child playing in a pool .", ["a small child"], "play", "playing in a pool"),
    ("A close up of a cat sleeping on a bed", ["a cat"], "sleep", "sleeping on a bed"),
    ("A group of people sit at a table .", ["a group of people"], "sit", "sit at a table"),
    ("The dog is chasing a ball while a man watches .", ["the dog"], "chase", "chasing a ball"),
    ("A man with a dog running behind him .", ["a man"], None, ""),
    ("A boy who is holding a bat swings it .", ["a boy"], "hold", "holding a bat swings it"),
    ("A red fire hydrant on the sidewalk", ["a red fire hydrant"], None, ""),
    ("A snow covered mountain .", ["a snow covered mountain"], None, ""),
    ("Boats", ["boats"], None, ""),
    ("", [], None, ""),
]


@pytest.mark.parametrize(("caption", "subject", "lemma", "done"), READ)
def test_captions_read_by_hand(caption: str, subject: list[str], lemma: str | None, done: str) -> None:
    parsed = parse(caption)
    assert [phrase.text for phrase in parsed.subject] == subject
    assert (parsed.verb.lemma if parsed.verb else None) == lemma
    assert " ".join(parsed.done) == done


def phrase_of(caption: str, head: str) -> Phrase:
    return next(phrase for phrase in parse(caption).phrases if phrase.head == head)


def test_numbers_are_those_that_the_caption_has() -> None:
    assert phrase_of("Two dogs play .", "dogs").number == 2
    assert phrase_of("A couple of dogs play .", "dogs").number == 2
    assert phrase_of("A herd of sheep graze .", "sheep").number == MANY
    assert phrase_of("Several large birds fly .", "birds").number == MANY
    assert phrase_of("The dogs play .", "dogs").number is None
    assert phrase_of("A dog plays .", "dog").number == 1
    assert phrase_of("A pair of scissors .", "scissors").number is None
    assert phrase_of("One of the dogs jumps .", "dogs").number == 1


def test_colours_are_those_of_the_noun() -> None:
    assert phrase_of("A black and white cat near a red chair .", "cat").colours == ("black", "white")
    assert phrase_of("A man in a grey coat .", "coat").colours == ("gray",)
    assert phrase_of("A man in orange holds a cup .", "man").colours == ()
    assert phrase_of("An orange on a plate .", "orange").concepts == ("orange",)
    assert phrase_of("An orange cat .", "cat").colours == ("orange",)


@pytest.mark.parametrize(
    ("caption", "head"),
    [
        ("A toy dog on a shelf .", "dog"),
        ("A statue of a horse in a park .", "horse"),
        ("A man dressed like a cow .", "cow"),
        ("A man without a hat .", "hat"),
        ("A girl waits for a bus .", "bus"),
        ("There is no dog here .", "dog"),
        ("A boy smiles at the camera .", "camera"),
        ("A dog with a wubbly leash on a mat .", "leash"),
    ],
)
def test_what_is_not_there_is_not_said_to_be(caption: str, head: str) -> None:
    assert phrase_of(caption, head).plain == (head == "leash")


def test_a_noun_that_may_go_on_is_not_sure() -> None:
    assert not phrase_of("A dog wubble on a mat .", "dog").plain
    assert phrase_of("A dog on a mat .", "dog").plain


@given(st.integers(0, 2**32))
def test_scenes_are_read_as_they_were_made(seed: int) -> None:
    scene = scenes.any_scene(random.Random(seed))
    parsed = parse(scene.caption())
    (subject,) = parsed.subject
    assert subject.plain and subject.number == scene.number and subject.many == (scene.number > 1)
    assert subject.colours == (() if scene.colour is None else (scene.colour,))
    general = {up for name in subject.concepts for up in lexicon().general(name)}
    assert scenes.NOUNS[scene.noun] <= general
    assert parsed.verb is not None and parsed.verb.lemma == scene.verb
    assert " ".join(parsed.done).endswith(scene.place)


WORDS = st.sampled_from(
    ["a", "the", "two", "of", "and", ",", "'s", "dog", "dogs", "men", "riding", "rides", "is", "orange", "glasses",
     "in", "in front of", "wearing", "not", "group", "couple", "that", "says", ".",
     "covered", "xyzzy", "there", "couple of", "photo", "3", "black", "no", "while", "camera", "his", "fire", "hydrant"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=14).map(" ".join) | st.text(max_size=60))
def test_any_caption_is_read_without_a_crash(caption: str) -> None:
    parsed = parse(caption)
    for phrase in parsed.phrases:
        assert 0 <= phrase.begin < phrase.end <= len(parsed.words)
        assert phrase.head in parsed.words[phrase.begin : phrase.end]
    for text in generalised(caption):
        assert text[0].isupper() and text.endswith(".") and "  " not in text


def test_the_lists_of_words_are_sound() -> None:
    known = lexicon()
    assert known.general("dog") == ("dog", "animal")
    assert set(known.general("boy")) == {"boy", "child", "male", "person"}
    for name, concept in known.concepts.items():
        assert name not in concept.above
        assert all(up in known.concepts for up in concept.above)
    assert len({verb.lemma for verb in known.verbs.values()}) == len(known.kind)
