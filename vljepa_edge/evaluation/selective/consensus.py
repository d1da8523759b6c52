"""CIDEr-D of one text against one annotation, with the document frequencies of a fixed set of annotations.

pycocoevalcap takes document frequencies from the texts that it is given with a call. Here a sweep scores some 10^5
pairs, most of them many times, against one set: so each pair is scored once, by the same formula. A test compares it
with pycocoevalcap.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

from vljepa_edge.errors import InputError

_WORD = re.compile(r"\w+(?:'\w+)?")
_LENGTHS, _SIGMA = 4, 6.0
_Vector = list[dict[tuple[str, ...], float]]


class Cider:
    """CIDEr-D times 100, as papers print it. Words are what a regular expression finds, in small letters."""

    def __init__(self, documents: Iterable[str]) -> None:
        """documents: every annotation of the set, those that come twice as often as they come."""
        words = [_words(document) for document in documents]
        if not words:
            raise InputError("document frequencies must come of at least one annotation, got none")
        self._frequencies = Counter(gram for said in words for gram in set(_grams(said)))
        self._most = math.log(len(words))
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
        words = _words(text)
        weights: _Vector = [{} for _ in range(_LENGTHS)]
        for gram, count in Counter(_grams(words)).items():
            rarity = self._most - math.log(max(1.0, self._frequencies.get(gram, 0)))
            weights[len(gram) - 1][gram] = count * rarity
        norms = [math.sqrt(sum(weight**2 for weight in own.values())) for own in weights]
        return weights, norms, max(0, len(words) - 1)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _grams(words: list[str]) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for n in range(1, _LENGTHS + 1) for i in range(len(words) - n + 1)]
