"""Labels score as float64 arithmetic over the texts says, and refuse what can't be told apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.toy_bundle import write_toy_bundle
from vljepa_edge.errors import InputError
from vljepa_edge.model import Model, load
from vljepa_edge.perception.coco import COCO_80
from vljepa_edge.perception.labels import CALIBRATOR, Labels
from vljepa_edge.perception.wordings import wordings

WIDTH = 16
GIVEN = {"a cup": None, "dogs": ..., "spill": ["a puddle on the floor", "spilled milk"], "red": "something red"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(write_toy_bundle(tmp_path_factory.mktemp("toy") / "toy", embedding=WIDTH))


@pytest.fixture(scope="module")
def labels(model: Model) -> Labels:
    return model.labels(GIVEN)  # type: ignore[arg-type]


def expected(model: Model, seen: np.ndarray) -> np.ndarray:
    """The scores of GIVEN in float64, one label and one text after the other."""
    prompt = model.manifest.prompts.classify
    told = [wordings("a cup", prompt), wordings("dogs", prompt), list(GIVEN["spill"]), ["something red"]]  # type: ignore[call-overload]

    def cosine(texts: list[str]) -> float:
        mean = np.mean([model.embed_text([text])[0].astype(np.float64) for text in texts], axis=0)
        return float(mean @ seen / np.linalg.norm(mean))

    bank = np.array([cosine(wordings(name, prompt)) for name in COCO_80])
    return np.array([(cosine(texts) - bank.mean()) / bank.std() for texts in told])


def test_scores_are_deviations_from_the_names_of_coco(model: Model, labels: Labels) -> None:
    for seed in range(3):
        seen = np.random.default_rng(seed).normal(size=WIDTH)
        seen /= np.linalg.norm(seen)
        wanted = expected(model, seen)
        got = labels.scores(seen.astype(np.float32))
        assert got.dtype == np.float32 and got.shape == (4,)
        np.testing.assert_allclose(got, wanted, atol=1e-4)
        chances = 1 / (1 + np.exp(-(CALIBRATOR.slope * wanted + CALIBRATOR.offset)))
        np.testing.assert_allclose(labels.probabilities(seen.astype(np.float32)), chances, atol=1e-4)
        ranked = sorted(zip(GIVEN, chances, strict=True), key=lambda pair: -pair[1])
        assert list(labels.found(seen.astype(np.float32), least=0.0)) == [name for name, _ in ranked]
        for least in (0.1, 0.5):
            found = labels.found(seen.astype(np.float32), least=least)
            assert found == pytest.approx({name: chance for name, chance in ranked if chance >= least}, abs=1e-4)


def test_the_query_is_the_manifests_own_for_labels(model: Model, labels: Labels) -> None:
    assert labels.names == tuple(GIVEN)
    assert labels.query == labels.asked.text == model.manifest.text.default_query  # the toy has no classify_query


@given(arrays(np.float32, WIDTH, elements=st.floats(-1, 1, width=32)))
def test_a_probability_is_one_for_any_prediction(labels: Labels, seen: np.ndarray) -> None:
    chances = labels.probabilities(seen)
    assert ((chances >= 0) & (chances <= 1)).all()


def test_an_article_or_a_plural_makes_no_other_label(model: Model) -> None:
    for same in (["cup", "a cup"], ["Cups", "the cup"], ["cup", "cup"], ["people", "a person"]):
        with pytest.raises(InputError, match="the labels must all mean something else, got"):
            model.labels(same)


@pytest.mark.parametrize(
    ("given_labels", "said"),
    [
        ([], "labels must be 1 to 1000 texts, got none"),
        ({}, "labels must be 1 to 1000 texts, got none"),
        ((f"thing {number}" for number in range(1001)), "labels must be 1 to 1000 texts, got more than 1000"),
        ("cup", r"labels must be a list of texts, not one text; write \['cup'\]"),
        (7, "labels must be a list of texts, got 7"),
        (["cup", 7], "each of the labels must be a text, got 7"),
        (["cup", " "], "each of the labels must have at least one letter, got ' '"),
        (["x" * 1001], "each of the labels must have at most 1000 characters, got 1001"),
        (["\ud800"], "each of the labels must be valid Unicode"),
        ({"cup": []}, "the texts for the label 'cup' must be one or more; write None to have them chosen"),
        ({"cup": ["mug", ""]}, "each of the texts for the label 'cup' must have at least one letter"),
        ({"cup": 3}, "texts for the label 'cup' must be a list of texts, got 3"),
        ({"cup": "x" * 1001}, "each of the texts for the label 'cup' must have at most 1000 characters"),
    ],
)
def test_labels_that_make_no_sense_are_refused(model: Model, given_labels: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        model.labels(given_labels)  # type: ignore[arg-type]
