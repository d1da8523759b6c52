"""Embedders for tests of protocols: one that knows the answers, and two that know nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from vljepa_edge.evaluation.embedder import Array, Look
from vljepa_edge.evaluation.items import Seen

WIDTH = 32


def vector(text: str) -> Array:
    """A unit vector of its own for each text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    row = np.random.default_rng(seed).normal(size=WIDTH)
    return (row / np.linalg.norm(row)).astype(np.float32)


class Knows:
    """Sees in each thing the text that stands for it; with a query, `answers[seen, query]`."""

    digest = "knows"

    def __init__(self, answers: Mapping[Seen | tuple[Seen, str | None], str]) -> None:
        self._answers = answers

    def embed_media(self, looks: Sequence[Look]) -> Array:
        said = [self._answers.get((look.seen, look.query)) or self._answers[look.seen] for look in looks]
        return np.stack([vector(text) for text in said])

    def embed_texts(self, texts: Sequence[str], prompt: bool = True) -> Array:
        return np.stack([vector(text) for text in texts])

    def decode(self, embeddings: Array) -> list[str]:
        texts = sorted(set(self._answers.values()))
        return [texts[int(np.argmax(self.embed_texts(texts) @ row))] for row in embeddings]


class Same:
    """Gives everything the same embedding, but for the rounding of fp32: `value` in each place."""

    digest = "same"

    def __init__(self, value: float = 0.3) -> None:
        self._value = value

    def _rows(self, count: int) -> Array:
        rng = np.random.default_rng(0)
        return (self._value * (1 + 1e-7 * rng.normal(size=(count, WIDTH)))).astype(np.float32)

    def embed_media(self, looks: Sequence[Look]) -> Array:
        return self._rows(len(looks))

    def embed_texts(self, texts: Sequence[str], prompt: bool = True) -> Array:
        return self._rows(len(texts))

    def decode(self, embeddings: Array) -> list[str]:
        return ["a" for _ in embeddings]
