"""The semantic decode cache: a text that was decoded from nearly the same embedding is used again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vljepa_edge import _core

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vljepa_edge.perception.confidence import Words


class Said:
    """The last 64 texts of one query that were decoded, each beside its embedding; the least recently used makes way.

    What is used again lies within `radius` (cosine distance) of the embedding that was decoded, not of one that used
    it: a stream that drifts is decoded again. Not for use from several threads at once.
    """

    def __init__(self, radius: float) -> None:
        self._places = _core.Said(radius)
        self._words: dict[int, Words] = {}

    def __len__(self) -> int:
        return len(self._words)

    def find(self, embedding: NDArray[np.float32], is_mean: bool) -> Words | None:
        """The nearest text within the radius of a unit embedding, None if there is none.

        is_mean: it is the mean of a segment, whose texts are better: only one that was decoded from a mean stands in.
        """
        place = self._places.find(embedding, is_mean)
        return None if place is None else self._words[place]

    def keep(self, embedding: NDArray[np.float32], is_mean: bool, words: Words) -> None:
        """A text that was decoded from a unit embedding."""
        self._words[self._places.keep(embedding, is_mean)] = words
