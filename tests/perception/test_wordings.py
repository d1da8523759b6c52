"""Labels are put into words as a person would: articles, plurals, and nothing lost of what was given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vljepa_edge.perception.coco import COCO_80
from vljepa_edge.perception.wordings import singular, with_article, without_article, wordings

PROMPT = "There is a {label} in the scene."
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(str.strip)


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        *(("cups", "cup"), ("people", "person"), ("boxes", "box"), ("buses", "bus"), ("berries", "berry")),
        *(("horses", "horse"), ("ties", "tie"), ("dishes", "dish"), ("women", "woman"), ("glasses", "glasses")),
        *(("knives", "knife"), ("gloves", "glove"), ("calves", "calf"), ("Cars", "Car"), ("potatoes", "potato")),
        *(("red cars on wet roads", "red car on wet roads"), ("pairs of scissors", "pair of scissors")),
    ],
)
def test_a_plural_has_a_singular_which_has_none(plural: str, one: str) -> None:
    assert singular(plural) == one
    assert singular(one) == one


@pytest.mark.parametrize("name", [name for name in COCO_80 if name != "skis"])
def test_names_of_one_thing_are_no_plurals(name: str) -> None:
    assert singular(name) == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *(("cup", "a cup"), ("apple", "an apple"), ("hour glass", "an hour glass"), ("unicorn", "a unicorn")),
        *(("umbrella", "an umbrella"), ("utensil", "a utensil"), ("unhappy man", "an unhappy man")),
        *(("European car", "a European car"), ("one-way sign", "a one-way sign"), ("onion", "an onion")),
    ],
)
def test_an_article_goes_by_the_first_sound(name: str, said: str) -> None:
    assert with_article(name) == said
    assert without_article(said) == name


def test_the_texts_of_a_label() -> None:
    told = ["cup", "a cup", "There is a cup in the scene.", "a photo of a cup"]
    assert wordings("cup", PROMPT) == wordings(" The cup ", PROMPT) == wordings("a  cup", PROMPT) == told
    assert wordings("cups", PROMPT) == ["cups", *told[1:]]
    assert wordings("an oven", PROMPT)[2] == "There is an oven in the scene."
    assert wordings("cup", "{label}") == ["cup", "a cup", "a photo of a cup"]  # a prompt that adds nothing
    assert wordings("theatre", PROMPT)[0] == "theatre"  # no article
    assert wordings("the", PROMPT)[0] == "the"


@given(texts)
def test_any_label_has_texts_that_differ_and_begin_with_its_own_words(label: str) -> None:
    told = wordings(label, PROMPT)
    assert 1 < len(told) == len(set(told)) <= 4
    assert all(text.strip() for text in told)
    assert " ".join(label.split()).endswith(told[0])


@given(texts)
def test_what_was_put_right_once_stays_as_it_is(label: str) -> None:
    assert without_article(with_article(without_article(label))) == without_article(label) or label.strip().lower() in (
        *("a", "an", "the"),
    )
