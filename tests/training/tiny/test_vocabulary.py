from __future__ import annotations

import re

import pytest

from vljepa_edge.support.assets import archive_path
from vljepa_edge.training.tiny import vocabulary
from vljepa_edge.training.tiny.assets import MINILM, TIMM

in_cache = pytest.mark.skipif(
    not all(archive_path(asset).is_file() for asset in (MINILM, TIMM)), reason="the packages are not in the cache"
)


@in_cache
def test_nouns_are_many_short_sorted_and_without_latin() -> None:
    nouns = vocabulary.nouns()
    assert 6000 < len(nouns) < 10_000
    assert nouns == sorted(set(nouns))
    assert all(re.fullmatch(r"[a-z]+(?:[ '-][a-z]+){0,2}", noun) for noun in nouns)
    known = set(nouns)
    everyday = {
        "dog",
        "cat",
        "car",
        "taxi",
        "bicycle",
        "cup of coffee",
        "space shuttle",
        "tabby cat",
        "unicycle",
        "bow tie",
    }
    assert everyday <= known
    assert not known & {
        "felis catus",
        "panthera leo",
        "crocodylus niloticus",
        "abelmosk",
        "artifact",
        "nymphet",
        "bitch",
    }


@in_cache
def test_imagenet_names_keep_english_and_drop_latin() -> None:
    names = vocabulary.imagenet_names()
    assert len(names) == 1000
    assert names[281] == ("tabby", "tabby cat")
    assert "toilet paper" in names[999]
    assert names[291][0] == "lion" and "panthera leo" not in names[291]


@pytest.mark.parametrize(
    ("words", "few", "some"),
    [
        (vocabulary.scenes(), 300, {"street", "room", "kitchen", "beach", "crowd"}),
        (vocabulary.actions(), 200, {"walking", "riding", "talking"}),
        (vocabulary.people(), 100, {"person", "man", "woman", "child"}),
        (vocabulary.colours(), 20, {"red", "grey"}),
    ],
    ids=["scenes", "actions", "people", "colours"],
)
def test_own_lists(words: list[str], few: int, some: set[str]) -> None:
    assert len(words) >= few and some <= set(words)
    assert words == sorted(set(words))
    assert all(word == word.lower().strip() and "\n" not in word for word in words)


def test_counts_are_in_counting_order() -> None:
    assert vocabulary.counts()[:3] == ["one", "two", "three"]
