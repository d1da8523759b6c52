"""How sure a model may be of a text: calibrated probabilities, out of the bundle's manifest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vljepa_edge.bundle.confidence import ConfidenceEntry, IsotonicEntry, LogisticEntry
from vljepa_edge.errors import BundleError, InputError
from vljepa_edge.perception.finite import unit
from vljepa_edge.perception.logistic import logistic
from vljepa_edge.support.npy import parse_npy

if TYPE_CHECKING:
    from vljepa_edge.bundle.confidence import GeneralEntry
    from vljepa_edge.bundle.store import Bundle
    from vljepa_edge.perception.text import Text

Wording = Literal["specific", "general", "none"]
"""The model's own words; a general sentence instead, as it was not sure enough of those; or no text."""

_PRESENCE = re.compile(r"\s*(is|are)\s+there\b|\s*(do|can)\s+you\s+see\b", re.IGNORECASE)
_MOST_SENTENCES = 10_000


class Words(NamedTuple):
    """A text and the probability that it is right: None where the bundle has no calibrator for it. Without a text, that
    of the one that was not sure enough."""

    text: str
    confidence: float | None
    wording: Wording


def probability(entry: LogisticEntry | IsotonicEntry, number: ArrayLike) -> NDArray[np.float64]:
    """The calibrated probability of each number, in the shape of `number`."""
    given = np.asarray(number, np.float64)
    if isinstance(entry, IsotonicEntry):
        places, values = np.array(entry.knots, np.float64).T
        return np.asarray(np.interp(given, places, values), np.float64)
    return logistic(entry.slope * given + entry.offset)


class Confidence:
    """The calibrators of one bundle, and its general sentences. Immutable, safe from many threads.

    What a bundle has no calibrator for has no probability: None. Raises BundleError when the general sentences can't
    be read.
    """

    def __init__(self, bundle: Bundle) -> None:
        manifest = bundle.manifest
        entry = manifest.confidence
        self._calibrated = entry is not None
        self._entry = ConfidenceEntry() if entry is None else entry
        self._caption_queries = {"", manifest.text.default_query, *self._entry.caption_queries}
        self._answer_prompt = manifest.prompts.answer
        self._sentences: list[str] = []
        if self._entry.general is not None:
            self._sentences, self._general = read_general(bundle, self._entry.general)

    def least(self, wanted: float | None) -> float:
        """From which confidence on a text is shown: `wanted`, or the manifest's when None.

        Raises InputError when something is wanted of a bundle that has no calibrators.
        """
        if wanted is None:
            return self._entry.min_confidence
        if wanted > 0 and not self._calibrated:
            raise InputError(
                "min_confidence needs a bundle whose confidence was calibrated, and the manifest of this one has none; "
                f"leave it out, or use 0, got {wanted:g}"
            )
        return wanted

    def asks_for_caption(self, query: str) -> bool:
        """Whether the answer to a query is a caption, so that a general sentence answers it too."""
        return query in self._caption_queries

    def asks_for_presence(self, query: str) -> bool:
        """Whether a query is "Is there ...?", and the bundle can say how probable "yes" is."""
        return self._entry.presence is not None and _PRESENCE.match(query) is not None

    def text(self, query: str, cosine: ArrayLike) -> NDArray[np.float64] | None:
        """The probability that a text is the right answer to `query`, of the cosine between both."""
        entry = self._calibrator(query)
        return None if entry is None else probability(entry, cosine)

    def label(self, cosine: ArrayLike) -> NDArray[np.float64] | None:
        """The probability that a label fits, whatever the others, of its cosine with the prediction."""
        return None if self._entry.label is None else probability(self._entry.label, cosine)

    def presence(self, yes: float, no: float) -> float | None:
        """The probability of "yes" to "Is there ...?", of the cosines of "yes" and of "no" with the prediction."""
        return None if self._entry.presence is None else float(probability(self._entry.presence, yes - no))

    def presence_texts(self) -> list[str]:
        """ "yes" and "no" as the bundle embeds them."""
        return [self._answer_prompt.replace("{candidate}", word) for word in ("yes", "no")]

    def say(self, text: Text, embedding: NDArray[np.float32], query: str, least: float) -> Words:
        """An embedding [E] of unit norm, predicted for `query`, in words that are right with a probability of `least`:
        decoded, or the nearest general sentence to a caption, or none.

        Raises what decoding and embedding a text raise.
        """
        return self.word(text, text.decode(embedding), embedding, query, least)

    def word(self, text: Text, decoded: str, embedding: NDArray[np.float32], query: str, least: float) -> Words:
        """As say(), where the embedding is decoded already."""
        sure = self._of_decoded(text, decoded, embedding, query)
        if sure is None or (decoded and sure >= least):
            return Words(decoded, sure, "specific" if decoded else "none")
        if self._entry.general is not None and self.asks_for_caption(query):
            cosines = self._general @ embedding
            nearest = int(cosines.argmax())
            chance = float(probability(self._entry.general.calibrator, cosines[nearest]))
            if chance >= least:
                return Words(self._sentences[nearest], chance, "general")
        return Words("", sure, "none")

    def _calibrator(self, query: str) -> LogisticEntry | IsotonicEntry | None:
        return self._entry.caption if self.asks_for_caption(query) else self._entry.answer

    def _of_decoded(self, text: Text, decoded: str, embedding: NDArray[np.float32], query: str) -> float | None:
        said = as_yes_or_no(decoded)
        if said is not None and self.asks_for_presence(query):
            yes, no = text.sets.get(self.presence_texts()) @ embedding
            chance = self.presence(float(yes), float(no))
            return chance if chance is None or said else 1.0 - chance
        entry = self._calibrator(query)
        if entry is None:
            return None
        if not decoded:
            return 0.0
        return float(probability(entry, float(text.embed([decoded])[0] @ embedding)))


def as_yes_or_no(text: str) -> bool | None:
    """Whether a text says yes, or no; None for any other."""
    return {"yes": True, "no": False}.get(text.strip().rstrip(".!").lower())


def read_general(bundle: Bundle, entry: GeneralEntry) -> tuple[list[str], NDArray[np.float32]]:
    """The general sentences of a bundle, N of them, and their embeddings [N, E] of unit norm. Raises BundleError."""
    try:
        sentences = bundle.read(entry.texts).decode().splitlines()
    except UnicodeDecodeError as error:
        raise BundleError(entry.texts, f"is not UTF-8 text: {error.reason}") from None
    if not 1 <= len(sentences) <= _MOST_SENTENCES or not all(sentence.strip() for sentence in sentences):
        raise BundleError(entry.texts, f"must hold 1 to {_MOST_SENTENCES} sentences, one a line, no line empty")
    rows = _read_halves(entry.embeddings, bundle.read(entry.embeddings))
    expected = (len(sentences), bundle.manifest.embedding.width)
    if rows.shape != expected:
        raise BundleError(entry.embeddings, f"must be of shape {list(expected)}, got {list(rows.shape)}")
    if not np.isfinite(rows).all() or not rows.any(axis=1).all():
        raise BundleError(entry.embeddings, "must be finite numbers, no row all zero")
    return sentences, unit("general sentences", rows)


def _read_halves(name: str, raw: bytes) -> NDArray[Any]:
    """A .npy of float16 [N, E]. Raises BundleError."""
    try:
        rows = parse_npy(raw)
    except Exception as error:  # what NumPy raises for a damaged header is not said anywhere
        raise BundleError(name, f"is not a .npy file of version 1.0, float16 [N, E] in C order: {error}") from None
    if rows.dtype != np.dtype("<f2") or rows.ndim != 2:
        raise BundleError(name, f"must hold float16 [N, E], got {rows.dtype} {list(rows.shape)}")
    return rows
