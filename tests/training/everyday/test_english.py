"""Forms of English words, against lists written by hand."""

from __future__ import annotations

import pytest

from vljepa_edge.training.everyday.english import article, gerund, plural, sentence, third_person


@pytest.mark.parametrize(
    ("verb", "third", "ing"),
    [
        ("run", "runs", "running"), ("sit", "sits", "sitting"), ("ride", "rides", "riding"), ("lie", "lies", "lying"),
        ("carry", "carries", "carrying"), ("play", "plays", "playing"), ("watch", "watches", "watching"),
        ("ski", "skis", "skiing"), ("open", "opens", "opening"), ("eat", "eats", "eating"), ("fix", "fixes", "fixing"),
        ("go", "goes", "going"), ("do", "does", "doing"), ("row", "rows", "rowing"), ("see", "sees", "seeing"),
        ("parasail", "parasails", "parasailing"), ("hug", "hugs", "hugging"), ("have", "has", "having"),
        ("canoe", "canoes", "canoeing"), ("begin", "begins", "beginning"), ("listen", "listens", "listening"),
        ("wait", "waits", "waiting"), ("skip", "skips", "skipping"), ("tie", "ties", "tying"),
    ],
)  # fmt: skip
def test_verbs(verb: str, third: str, ing: str) -> None:
    assert (third_person(verb), gerund(verb)) == (third, ing)


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("dog", "dogs"), ("bus", "buses"), ("child", "children"), ("fireman", "firemen"), ("human", "humans"),
        ("fire truck", "fire trucks"), ("wolf", "wolves"), ("sheep", "sheep"), ("cherry", "cherries"),
        ("toy", "toys"), ("bench", "benches"), ("potato", "potatoes"), ("photo", "photos"), ("goldfish", "goldfishes"),
    ],
)  # fmt: skip
def test_plurals(one: str, many: str) -> None:
    assert plural(one) == many


@pytest.mark.parametrize(
    ("name", "said"),
    [("owl", "an owl"), ("dog", "a dog"), ("umbrella", "an umbrella"), ("unicycle", "a unicycle"), ("hour", "an hour")],
)
def test_articles(name: str, said: str) -> None:
    assert article(name) == said


def test_sentences() -> None:
    assert sentence(" a red bus ") == "A red bus."
    assert sentence("") == ""
