"""The shipped default and what knows nothing, as embedders of arms; what such arms are recognised by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.evaluation.embedder import Array, Embedder, Look
from vljepa_edge.training.reproduction.experiment import Arm, Report, Setting
from vljepa_edge.training.reproduction.tables import digests

_WIDTH, _PART = 32, 32


@cache
def default_digest() -> str:
    """Of the embedded bundle."""
    return Bundle.open(default_bundle()).digest


def shipped_arm(
    name: str, title: str, make: Callable[[Setting], Mapping[str, float]], tables: Sequence[str] = (),
    about: Mapping[str, Any] | None = None, paper: Mapping[str, float] | None = None,
) -> Arm:  # fmt: skip
    """An arm of the default, or of who knows less, by a function of the setting.

    tables, about: what decides its figures beside the bundle: tables of the folder of data, and other values.
    """

    def recipe(data: Path) -> Mapping[str, Any]:
        return {"bundle": default_digest(), "tables": digests(data, tables), "model": name, **(about or {})}

    return Arm(name, title, recipe, make, paper or {})


class Guess:
    """Embeddings of chance, each time other ones: what any protocol gives to who knows nothing."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    @property
    def digest(self) -> str:
        """Nothing of it can be kept."""
        return "guess"

    def embed_media(self, looks: Sequence[Look]) -> Array:
        """See `Embedder`."""
        return self._rows(len(looks))

    def embed_texts(self, texts: Sequence[str], prompt: bool = True) -> Array:
        """See `Embedder`."""
        return self._rows(len(texts))

    def decode(self, embeddings: Array) -> list[str]:
        """Nothing of each."""
        return ["" for _ in embeddings]

    def _rows(self, count: int) -> Array:
        rows = self._rng.normal(size=(count, _WIDTH))
        unit: Array = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return unit


class Reporting:
    """Another embedder, which reports how far it is."""

    def __init__(self, embedder: Embedder, report: Report) -> None:
        self._embedder, self._report = embedder, report

    @property
    def digest(self) -> str:
        """The other's."""
        return self._embedder.digest

    def embed_media(self, looks: Sequence[Look]) -> Array:
        """See `Embedder`."""
        found = []
        for begin in range(0, len(looks), _PART):
            self._report("videos and images", begin, len(looks))
            found.append(self._embedder.embed_media(looks[begin : begin + _PART]))
        self._report("videos and images", len(looks), len(looks))
        return np.concatenate(found)

    def embed_texts(self, texts: Sequence[str], prompt: bool = True) -> Array:
        """See `Embedder`."""
        return self._embedder.embed_texts(texts, prompt)

    def decode(self, embeddings: Array) -> list[str]:
        """See `Embedder`."""
        return self._embedder.decode(embeddings)
