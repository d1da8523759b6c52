"""Recall of search in both directions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vljepa_edge.training.figures.captioned import Captioned
from vljepa_edge.training.figures.search import TOPS, search_figures


def table(owner: list[int]) -> Captioned:
    count = max(owner) + 1
    return Captioned("t", tuple(Path(str(i)) for i in range(count)), tuple(map(str, owner)), np.array(owner), "")


def unit(rng: np.random.Generator, count: int, width: int = 6) -> np.ndarray:
    rows = rng.normal(size=(count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 14), st.integers(1, 3))
def test_recall_is_what_sorting_by_hand_gives(seed: int, items: int, each: int) -> None:
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.repeat(np.arange(items), each)).tolist()
    seen, texts = unit(rng, items), unit(rng, len(owner))
    found = search_figures(seen, texts, table(owner))
    for top in TOPS:
        by_text = [
            owner[row] in sorted(range(items), key=lambda i: -float(texts[row].astype(float) @ seen[i]))[:top]
            for row in range(len(owner))
        ]
        by_item = []
        for item in range(items):
            order = sorted(range(len(owner)), key=lambda row: -float(texts[row].astype(float) @ seen[item]))
            by_item.append(item in [owner[row] for row in order[:top]])
        assert found[f"text_to_item_R@{top}"] == pytest.approx(100 * np.mean(by_text), abs=0.051)
        assert found[f"item_to_text_R@{top}"] == pytest.approx(100 * np.mean(by_item), abs=0.051)


def test_embeddings_that_are_all_the_same_find_nothing() -> None:
    owner = [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11]
    same = unit(np.random.default_rng(0), 1)
    found = search_figures(np.repeat(same, 12, 0), np.repeat(same, 14, 0), table(owner))
    assert set(found.values()) == {0.0}


def test_embeddings_that_know_nothing_find_what_chance_finds() -> None:
    rng = np.random.default_rng(1)
    found = search_figures(unit(rng, 100, 64), unit(rng, 4000, 64), table([i % 100 for i in range(4000)]))
    assert found["text_to_item_R@1"] == pytest.approx(1.0, abs=0.8)
    assert found["text_to_item_R@10"] == pytest.approx(10.0, abs=2.0)


def test_a_caption_asks_for_its_own_item_even_where_another_has_the_same_caption() -> None:
    seen = np.eye(3, 4, dtype=np.float32)
    texts = seen[[0, 0, 2]]
    found = search_figures(seen, texts, table([0, 1, 2]))
    assert found["text_to_item_R@1"] == pytest.approx(66.7)
