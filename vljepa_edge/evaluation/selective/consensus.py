"""CIDEr-D of one text against one annotation, with the document frequencies of a fixed set of annotations.

pycocoevalcap takes document frequencies from the texts that it is given with a call. Here a sweep scores some 10^5
pairs, most of them many times, against one set: so each pair is scored once, by the same formula. A test compares it
with pycocoevalcap.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from functools import cache

from vljepa_edge.errors import InputError
from vljepa_edge.evaluation.cider import words

_LENGTHS, _SIGMA = 4, 6.0
_Vector = list[dict[tuple[str, ...], float]]


class Cider:
    """CIDEr-D times 100, as papers print it, of the words that evaluation.cider finds."""

    def __init__(self, documents: Iterable[str]) -> None:
        """documents: every annotation of the set, those that come twice as often as they come."""
        said = [words(document).split() for document in documents]
        if not said:
            raise InputError("document frequencies must come of at least one annotation, got none")
        self._frequencies = Counter(gram for own in said for gram in set(_grams(own)))
        self._most = math.log(len(said))
        self.score = cache(self._score)
        self._vector = cache(self._weighed)

    def _score(self, said: str, annotation: str) -> float:
        (given, given_norms, given_length), (truth, truth_norms, length) = map(self._vector, (said, annotation))
        penalty = math.exp(-((given_length - length) ** 2) / (2 * _SIGMA**2))
        total = 0.0
        for n in range(_LENGTHS):
            shared = [(weight, truth[n][gram]) for gram, weight in given[n].items() if gram in truth[n]]
            product = sum(min(weight, wanted) * wanted for weight, wanted in shared)
            norms = given_norms[n] * truth_norms[n]
            total += penalty * (product / norms if norms else product)
        return 1000.0 * total / _LENGTHS

    def _weighed(self, text: str) -> tuple[_Vector, list[float], int]:
        """Weights of n-grams by n, their norms, and how many pairs of words there are."""
        said = words(text).split()
        weights: _Vector = [{} for _ in range(_LENGTHS)]
        for gram, count in Counter(_grams(said)).items():
            rarity = self._most - math.log(max(1.0, self._frequencies.get(gram, 0)))
            weights[len(gram) - 1][gram] = count * rarity
        norms = [math.sqrt(sum(weight**2 for weight in own.values())) for own in weights]
        return weights, norms, max(0, len(said) - 1)


def _grams(said: list[str]) -> list[tuple[str, ...]]:
    return [tuple(said[i : i + n]) for n in range(1, _LENGTHS + 1) for i in range(len(said) - n + 1)]
