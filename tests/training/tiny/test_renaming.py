"""Concept vectors of things never drawn: mixes of class embeddings, near the word they stand for."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from vljepa_edge.errors import InputError
from vljepa_edge.training.tiny.renaming import Concepts

CLASSES = [f"class {i}" for i in range(30)]
NOUNS = [f"noun {i}" for i in range(15)]


@pytest.fixture(scope="module")
def concepts() -> Concepts:
    torch.manual_seed(0)
    classes = F.normalize(torch.randn(30, 16), dim=-1)
    nouns = F.normalize(torch.randn(15, 16), dim=-1)
    return Concepts.build([*CLASSES, *NOUNS], torch.cat([classes, nouns]), CLASSES, classes)


def test_neighbours_are_the_most_similar_classes(concepts: Concepts) -> None:
    similarity = concepts.vectors.numpy() @ concepts.classes.numpy().T
    for word in range(45):
        expected = np.argsort(-similarity[word])[:10]
        assert concepts.nearest[word].tolist() == expected.tolist()
        np.testing.assert_allclose(concepts.similarity[word], similarity[word, expected], rtol=1e-6)
    assert concepts.is_class.tolist() == [True] * 30 + [False] * 15
    assert concepts.nearest[:30, 0].tolist() == list(range(30))  # a class is nearest to itself


def test_a_class_looks_like_itself_whatever_its_name_means() -> None:
    torch.manual_seed(1)
    classes, names = F.normalize(torch.randn(30, 16), dim=-1), F.normalize(torch.randn(30, 16), dim=-1)
    found = Concepts.build(CLASSES, names, CLASSES, classes)
    assert found.nearest[:, 0].tolist() == list(range(30))
    torch.testing.assert_close(found.vectors, names)


def test_a_drawn_vector_is_a_convex_mix_of_the_words_neighbours(concepts: Concepts) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        word, mixed = concepts.draw(rng)
        neighbours = (
            concepts.classes[concepts.nearest[word]].double().numpy()
        )  # 10 vectors in 16 dimensions: one solution
        weights = np.linalg.lstsq(neighbours.T, mixed.double().numpy(), rcond=None)[0]
        assert np.abs(neighbours.T @ weights - mixed.numpy()).max() < 1e-5
        assert weights.min() > -1e-5 and weights.sum() == pytest.approx(1.0, abs=1e-5)
        if concepts.is_class[word]:
            assert (weights > 1e-4).sum() <= 6  # itself and at most five others


def test_a_class_is_mostly_itself(concepts: Concepts) -> None:
    rng, own = np.random.default_rng(1), []
    for _ in range(600):
        word, mixed = concepts.draw(rng)
        if concepts.is_class[word]:
            own.append(int((concepts.classes @ mixed).argmax()) == word)
    assert np.mean(own) > 0.8


def test_classes_and_other_words_are_drawn_equally_often(concepts: Concepts) -> None:
    rng = np.random.default_rng(2)
    words = [concepts.draw(rng)[0] for _ in range(2000)]
    assert abs(np.mean(np.array(words) < 30) - 0.5) < 0.05
    assert set(words) == set(range(45))


def test_the_seed_decides(concepts: Concepts) -> None:
    first, again = (concepts.draw(np.random.default_rng(7)) for _ in range(2))
    assert first[0] == again[0]
    torch.testing.assert_close(first[1], again[1], rtol=0, atol=0)


def test_what_is_saved_is_loaded_and_draws_the_same(concepts: Concepts, tmp_path: Path) -> None:
    file = tmp_path / "concepts.safetensors"
    concepts.save(file)
    loaded = Concepts.load(str(file))
    assert loaded.names == concepts.names
    for field in fields(Concepts):
        if field.name != "names":
            one, other = getattr(loaded, field.name), getattr(concepts, field.name)
            assert one.dtype == other.dtype and torch.equal(one, other), field.name
    first, again = (each.draw(np.random.default_rng(3)) for each in (concepts, loaded))
    assert first[0] == again[0] and torch.equal(first[1], again[1])


@pytest.mark.parametrize(
    "what", ["gone", "a folder", "text", "cut off", "no names", "names that are no JSON", "a tensor less"]
)
def test_another_file_is_an_input_error_that_names_it(concepts: Concepts, tmp_path: Path, what: str) -> None:
    file = tmp_path / "concepts.safetensors"
    concepts.save(file)
    tensors = load_file(file)
    if what in ("gone", "a folder"):
        file.unlink()
        if what == "a folder":
            file.mkdir()
    elif what == "text":
        file.write_text("no concepts")
    elif what == "cut off":
        file.write_bytes(file.read_bytes()[:-100])
    elif what == "no names":
        save_file(tensors, file)
    elif what == "names that are no JSON":
        save_file(tensors, file, {"names": "[owl"})
    else:
        del tensors["nearest"]
        save_file(tensors, file, {"names": "[]"})
    with pytest.raises(InputError, match="must be a file of concepts") as caught:
        Concepts.load(file)
    assert str(file) in str(caught.value)
