"""The semantic decode cache: a text that was decoded from nearly the same embedding is used again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vljepa_edge.perception.confidence import Words

KEPT = 64


class Said:
    """The last texts of one query that were decoded, each beside its embedding; the least recently used makes way.

    What is used again lies within `radius` (cosine distance) of the embedding that was decoded, not of one that used
    it: a stream that drifts is decoded again. Not for use from several threads at once.
    """

    def __init__(self, radius: float) -> None:
        self._radius = radius
        self._rows: NDArray[np.float32] | None = None
        self._means = np.zeros(KEPT, np.bool_)  # decoded from the mean of a segment
        self._words: list[Words] = []
        self._used = np.zeros(KEPT, np.int64)  # when each was used last, in uses
        self._uses = 0

    def __len__(self) -> int:
        return len(self._words)

    def find(self, embedding: NDArray[np.float32], is_mean: bool) -> Words | None:
        """The nearest text within the radius of a unit embedding, None if there is none.

        is_mean: it is the mean of a segment, whose texts are better: only one that was decoded from a mean stands in.
        """
        count = len(self._words)
        if self._rows is None or count == 0:
            return None
        near = self._rows[:count] @ embedding
        if is_mean:
            near[~self._means[:count]] = -1.0
        place = int(near.argmax())
        if not 1.0 - near[place] <= self._radius:
            return None
        self._touch(place)
        return self._words[place]

    def keep(self, embedding: NDArray[np.float32], is_mean: bool, words: Words) -> None:
        """A text that was decoded from a unit embedding."""
        if self._rows is None:
            self._rows = np.zeros((KEPT, len(embedding)), np.float32)
        place = len(self._words)
        if place == KEPT:
            place = int(self._used.argmin())
            self._words[place] = words
        else:
            self._words.append(words)
        self._rows[place], self._means[place] = embedding, is_mean
        self._touch(place)

    def _touch(self, place: int) -> None:
        self._uses += 1
        self._used[place] = self._uses
