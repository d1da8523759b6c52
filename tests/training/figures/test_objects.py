"""Which objects captions name."""

from __future__ import annotations

import pytest

from vljepa_edge.training.figures.objects import OBJECTS, named, unclear

BY_NAME = {thing.name: thing for thing in OBJECTS}


def test_it_is_coco_s_objects_without_the_orange() -> None:
    assert len(OBJECTS) == len(BY_NAME) == 79
    assert {"person", "dog", "hot dog", "tv", "toothbrush"} < set(BY_NAME) and "orange" not in BY_NAME


@pytest.mark.parametrize(
    ("caption", "things"),
    [
        ("Two men and their puppies near buses.", {"person", "dog", "bus"}),
        ("A hot dog on a paper plate", {"hot dog"}),
        ("A teddy bear.", {"teddy bear"}),
        ("A bear with a teddy bear.", {"bear", "teddy bear"}),
        ("Three wine glasses and a baseball bat", {"wine glass", "baseball bat"}),
        ("a polar bear; geese", {"bear", "bird"}),
        ("Knives, sheep and a double-decker", {"knife", "sheep", "bus"}),
        ("A category of carpets", set()),
        ("A watch party for cattle", set()),
    ],
)
def test_names_synonyms_and_plurals_are_found_as_complete_words(caption: str, things: set[str]) -> None:
    assert {thing.name for thing in OBJECTS if named(thing, ["Nothing of it.", caption])} == things


def test_a_word_for_the_kind_makes_it_unclear_whether_it_is_there() -> None:
    assert unclear(BY_NAME["dog"], ["An animal sleeps."]) and not named(BY_NAME["dog"], ["An animal sleeps."])
    assert unclear(BY_NAME["chair"], ["A room."]) and not unclear(BY_NAME["giraffe"], ["A room."])
    assert unclear(BY_NAME["person"], ["Somebody rides by."])
