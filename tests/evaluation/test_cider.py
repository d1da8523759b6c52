"""CIDEr, against pycocoevalcap as captioning papers run it."""

from __future__ import annotations

import pytest

from vljepa_edge.errors import InputError
from vljepa_edge.evaluation.cider import cider

SAID = ["a dog runs on the beach", "two men ride bikes", "a plate of food"]
REFERENCES = [
    ["a brown dog runs along the beach", "a dog on the sand", "the dog is running by the sea"],
    ["two men ride bikes", "cyclists in a race", "two riders on a road"],
    ["a cat sleeps on a bed", "a sleeping cat"],
]


def test_the_score_is_that_of_pycocoevalcap_on_plain_words() -> None:
    module = pytest.importorskip("pycocoevalcap.cider.cider")
    plain = dict(enumerate(REFERENCES))
    expected, _ = module.Cider().compute_score(plain, {i: [text] for i, text in enumerate(SAID)})
    spelled = [[f"{text.capitalize()} ." for text in own] for own in REFERENCES]
    assert cider([f"{text.upper()}!" for text in SAID], spelled) == pytest.approx(100 * float(expected))
    assert 20 < 100 * float(expected) < 500


def test_more_references_that_agree_score_more_than_none_that_do() -> None:
    pytest.importorskip("pycocoevalcap")
    assert cider(SAID, REFERENCES) > cider([SAID[1], SAID[2], SAID[0]], REFERENCES)
    assert cider(["nothing like it"] * 3, REFERENCES) == 0
    assert cider(SAID, [[text] for text in SAID]) > 300


def test_a_model_that_says_the_same_of_everything_has_the_score_of_pycocoevalcap_too() -> None:
    module = pytest.importorskip("pycocoevalcap.cider.cider")
    truth = [["a"], ["dogs run over grass"]]
    expected, _ = module.Cider().compute_score(dict(enumerate(truth)), {0: ["a"], 1: ["a"]})
    assert cider(["a", "a"], truth) == pytest.approx(100 * float(expected))
    assert float(expected) > 0


@pytest.mark.parametrize(("said", "references"), [([], []), (["a"], []), (["a", "b"], [["a"], []])])
def test_texts_without_references_are_refused(said: list[str], references: list[list[str]]) -> None:
    pytest.importorskip("pycocoevalcap")
    with pytest.raises(InputError, match=r"each text must have"):
        cider(said, references)
