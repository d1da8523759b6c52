"""Confidence on captioned photographs: against scores worked out by hand, of models that know what they don't know and
of models that don't."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import vljepa_edge
from tests.toy_bundle import write_toy_bundle
from tests.training.figures.tables import vector, write_table
from vljepa_edge.errors import BundleError
from vljepa_edge.perception.confidence import Words
from vljepa_edge.training.figures import sure
from vljepa_edge.training.figures.captioned import Captioned, read_captioned
from vljepa_edge.training.figures.sure import listen, sure_figures


def table(count: int) -> Captioned:
    items = tuple(Path(f"{i}.png") for i in range(count))
    texts = tuple(text for _ in range(count) for text in ("A dog runs.", "A brown dog.", "A dog outside."))
    return Captioned("t", items, texts, np.repeat(np.arange(count), 3), "d")


def model(monkeypatch: pytest.MonkeyPatch, texts: list[str], shown: list[Words], chances: Any) -> Any:
    """One that says these texts of the items, and takes `chances` of their cosines for how sure it is."""
    seen = np.stack([vector(f"seen {i}") for i in range(len(texts))])
    monkeypatch.setattr(sure, "embed_items", lambda model, table: seen)
    monkeypatch.setattr(sure, "decode_items", lambda model, table, z: texts)
    monkeypatch.setattr(sure, "keep", lambda model, table, what, make: make())
    left = iter(shown)
    confidence = SimpleNamespace(
        least=lambda wanted: 0.5, text=lambda query, cosine: chances, say=lambda text, z, query, least: next(left)
    )
    manifest = SimpleNamespace(text=SimpleNamespace(default_query="What?"))
    return SimpleNamespace(
        manifest=manifest, text=None, confidence=confidence,
        embed_text=lambda texts: np.stack([vector(text) for text in texts]),
    )  # fmt: skip


def test_own_words_are_judged_by_their_confidence_and_shown_ones_by_their_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["A dog sits."] * 3 + ["A cat sits."] * 3 + [""]
    shown = [
        *(Words("A dog sits.", 0.9, "specific"),) * 3, Words("A cat sits.", 0.6, "specific"),
        Words("An animal runs.", 0.6, "general"), *(Words("", 0.1, "none"),) * 2,
    ]  # fmt: skip
    chances = np.array([0.9, 0.9, 0.9, 0.6, 0.4, 0.1, 0.7])
    said = listen(model(monkeypatch, texts, shown, chances), table(7))
    assert said.right.tolist() == [True] * 3 + [False] * 4
    assert said.confidence.tolist() == [0.9, 0.9, 0.9, 0.6, 0.4, 0.1, 0.0]
    assert said.shown.tolist() == [True] * 5 + [False] * 2
    assert said.shown_right.tolist() == [True] * 3 + [False, True, False, False]


@pytest.mark.parametrize(("told", "error"), [((0.9, 0.2), 0.0), ((0.5, 0.5), 0.05), ((0.99, 0.99), 0.44)])
def test_the_error_is_how_far_confidence_is_from_what_is_right(
    monkeypatch: pytest.MonkeyPatch, told: tuple[float, float], error: float
) -> None:
    """Of texts told at `told[0]` 9 of 10 are right, at `told[1]` 2 of 10."""
    texts = (["A dog."] * 9 + ["A cat."]) * 10 + (["A dog."] * 2 + ["A cat."] * 8) * 10
    chances = np.repeat(told, 100)
    shown = [Words(text, 0.9, "specific") for text in texts]
    found = sure_figures(model(monkeypatch, texts, shown, chances), [table(200)])
    assert found["ECE"] == pytest.approx(error, abs=1e-3)
    assert found["right"] == found["shown_right"] == found["t"]["right"] == 55.0
    assert sum(count for *_, count in found["bins"]) == found["texts"] == 200
    right = np.array([text == "A dog." for text in texts])
    assert found["area"] == pytest.approx(100 * roc_auc_score(right, chances), abs=0.051)


def test_a_bundle_without_calibrators_cannot_be_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    toy = vljepa_edge.load(write_toy_bundle(tmp_path / "toy"), threads=1)
    with pytest.raises(BundleError, match="has no calibrator for captions"):
        listen(toy, read_captioned(write_table(tmp_path, {"red": ["A ball."]})))
