"""Cosines of clips with classes, whose texts may be several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.evaluation.embedder import Embedder, Look
from vljepa_edge.evaluation.items import Labelled
from vljepa_edge.evaluation.metrics import cosines


def class_scores(
    embedder: Embedder, labels: Sequence[Sequence[str]], items: Sequence[Labelled], query: str | None
) -> NDArray[np.float32]:
    """(items, classes). A class that several texts stand for is the mean of their embeddings, as in CLIP."""
    texts = [text for own in labels for text in own]
    rows = embedder.embed_texts(texts)
    begins = np.cumsum([0, *(len(own) for own in labels)])[:-1]
    means = np.add.reduceat(rows, begins, axis=0)
    return cosines(embedder.embed_media([Look(item.media, query) for item in items]), means)


class Grouped(Protocol):
    """An item that counts for a part of a benchmark."""

    @property
    def group(self) -> str: ...


def grouped(items: Sequence[Grouped]) -> dict[str, list[int]]:
    """The places of the items of each group; those that are named by a number come by it, others by name."""
    found: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        found.setdefault(item.group, []).append(place)
    return dict(sorted(found.items(), key=lambda group: (_number(group[0]), group[0])))


def _number(group: str) -> float:
    """That a name such as "10 s" begins with."""
    try:
        return float(group.split(" ")[0])
    except ValueError:
        return math.inf
