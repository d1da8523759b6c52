"""What people wrote decides whether a text is right."""

from __future__ import annotations

import pytest

from vljepa_edge.training.everyday.truth import answer_is_right, caption_is_right, general_is_right

DOG = (
    "A brown dog runs through the grass with a red ball in its mouth.",
    "A puppy is running outside.",
    "A dog plays on a lawn.",
)
STREET = (
    "Two women ride bicycles down a city street.",
    "A pair of cyclists are on the road next to a bus.",
    "Women on bikes in traffic.",
)


@pytest.mark.parametrize(
    ("text", "captions", "right"),
    [
        ("A dog runs on grass.", DOG, True),
        ("An animal is outside.", DOG, True),  # a dog is one
        ("A puppy with a ball.", DOG, True),
        ("A cat sleeps on a couch.", DOG, False),
        ("A dog sleeps on a couch.", DOG, True),  # half of the things are there
        ("A dog and a cat sit on a couch.", DOG, False),
        ("A clothespin and a trumpet swap places.", DOG, False),  # words that no list has
        ("A woman rides a bicycle.", STREET, True),
        ("A vehicle is on the road.", STREET, True),
        ("A dog is on a beach.", STREET, False),
        ("Moving to the left.", STREET, False),  # nothing is named
        ("", STREET, False),
    ],
)
def test_a_caption_is_right_when_half_of_what_it_names_is_named(
    text: str, captions: tuple[str, ...], right: bool
) -> None:
    assert caption_is_right(text, captions) == right


@pytest.mark.parametrize(
    ("text", "captions", "right"),
    [
        ("An animal runs outside.", DOG, True),
        ("An animal runs.", DOG, True),
        ("There is an animal.", DOG, True),
        ("There is a vehicle.", DOG, False),
        ("Someone sits.", DOG, False),
        ("An animal swims.", DOG, False),  # what is done counts, too
        ("Someone sleeps.", STREET, False),
        ("There are vehicles.", STREET, True),
    ],
)
def test_a_general_sentence_is_right_when_all_of_it_is(text: str, captions: tuple[str, ...], right: bool) -> None:
    assert general_is_right(text, captions) == right


@pytest.mark.parametrize(
    ("text", "answers", "right"),
    [
        ("Two.", ("Two.",), True),
        ("two", ("Two.",), True),
        ("Three.", ("Two.",), False),
        ("Red.", ("Black and red.", "Red."), True),
        ("Red.", ("Blue.",), False),
        ("A man.", ("A person.",), False),  # a man is more than a person
        ("An animal.", ("A dog.",), True),
        ("On a road.", ("On the street.",), True),
        ("On a beach.", ("On the street.",), False),
        ("Riding a bike.", ("Riding a bicycle.",), True),
        ("Fixing a bicycle.", ("Riding a bicycle.",), False),
        ("", ("A dog.",), False),
    ],
)
def test_an_answer_is_right_in_the_same_words_or_of_the_same_things(
    text: str, answers: tuple[str, ...], right: bool
) -> None:
    assert answer_is_right(text, answers) == right
