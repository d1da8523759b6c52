"""Which of some labels are in the picture: each for itself, so all may be there, or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.bundle.confidence import LogisticEntry
from vljepa_edge.errors import InputError
from vljepa_edge.perception.coco import COCO_80
from vljepa_edge.perception.confidence import probability
from vljepa_edge.perception.finite import unit
from vljepa_edge.perception.wordings import singular, without_article, wordings
from vljepa_edge.support.arguments import as_list, as_probability, as_texts, shown

if TYPE_CHECKING:
    from vljepa_edge.bundle.manifest import Manifest
    from vljepa_edge.perception.text import Text

MOST_LABELS = 1_000
LONGEST_LABEL = 1_000  # characters

# From a score to a probability, for bundles whose manifest has nothing for it: `python -m benchmarks.watch` fits it on
# the real videos that packages carry, where one label in five is there.
CALIBRATOR = LogisticEntry(kind="logistic", slope=1.6, offset=-2.7)
_LEAST_SPREAD = 1e-6  # of cosines: below it they differ by rounding


LabelsLike = Iterable[str] | Mapping[str, str | Iterable[str] | EllipsisType | None]


class Labels:
    """Some labels as texts of the embedding space, ready to be held against what the predictor says is there.

    A label's score on a prediction is its cosine with it, in standard deviations above the mean cosine of the 80 names
    of COCO: what a scene that suits many names adds to all cosines is taken away, so that a threshold means the same
    for each label and each scene. Each label stands for several texts, whose mean counts (see wordings).

    It is immutable: one serves many streams and threads.

    names   the labels as they were given
    query   what the predictor is to be asked: the manifest's prompt "classify_query", else its default query
    asked   the same, embedded
    rows    the embeddings of the labels, then of the 80 names: float32 [N + 80, E], unit norm
    """

    def __init__(self, text: Text, manifest: Manifest, labels: Mapping[str, Sequence[str]]) -> None:
        """labels: name -> the texts that stand for it; none: those of `wordings`."""
        prompts, confidence = manifest.prompts, manifest.confidence
        watch = None if confidence is None else confidence.watch
        self._calibrator = CALIBRATOR if watch is None else watch
        self.names = tuple(labels)
        self.query = manifest.text.default_query if prompts.classify_query is None else prompts.classify_query
        self.asked = text.query(self.query)
        told = [list(texts) or wordings(name, prompts.classify) for name, texts in labels.items()]
        bank = [wordings(name, prompts.classify) for name in COCO_80]
        self.rows = np.concatenate((_means(text, told), _means(text, bank)))  # one matrix product gives all cosines

    def scores(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """The score of each label, float32 [N], on a prediction [E] of unit norm for `query`.

        Raises InputError when `embedding` has another shape, or is not finite.
        """
        cosines = self.rows @ self._checked(embedding)
        bank = cosines[len(self.names) :]
        spread = max(float(bank.std()), _LEAST_SPREAD)
        found: NDArray[np.float32] = (cosines[: len(self.names)] - bank.mean()) / np.float32(spread)
        return found

    def probabilities(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """The probability, float32 [N], that each label is there; arguments and errors are those of scores()."""
        return probability(self._calibrator, self.scores(embedding)).astype(np.float32)

    def found(self, embedding: NDArray[np.float32], least: float = 0.6) -> dict[str, float]:
        """The labels whose probability is `least` or more, and it; the likeliest first.

        Raises as scores() does, and InputError for a `least` that is no probability.
        """
        least = as_probability(least, "least")
        chances = self.probabilities(embedding).tolist()
        likely = sorted(zip(self.names, chances, strict=True), key=lambda pair: -pair[1])
        return {name: chance for name, chance in likely if chance >= least}

    def _checked(self, embedding: object) -> NDArray[np.float32]:
        width = self.rows.shape[1]
        try:
            given = np.asarray(embedding)
            if given.shape == (width,) and given.dtype.kind in "fiu":
                with np.errstate(over="ignore"):
                    seen: NDArray[np.float32] = given.astype(np.float32, copy=False)
                if np.isfinite(seen).all():
                    return seen
        except Exception:  # what np.asarray raises is up to the object
            pass
        raise InputError(f"a prediction to score must be {width} finite numbers, got {shown(embedding)}")


def _means(text: Text, sets: Sequence[Sequence[str]]) -> NDArray[np.float32]:
    """The mean embedding of each set of texts, [N, E], unit norm."""
    rows = text.sets.get([one for texts in sets for one in texts])
    firsts = np.cumsum([0, *(len(texts) for texts in sets[:-1])])
    return unit("label", np.add.reduceat(rows, firsts, axis=0, dtype=np.float64))


def read_labels(labels: object) -> dict[str, tuple[str, ...]]:
    """Labels as callers give them: a list, or a mapping from each to the text or texts that stand for it, where None or
    ... lets `wordings` choose.

    There are 1 to 1,000, and they mean different things: "cup", "a cup" and "Cups" mean the same. Raises InputError,
    naming the offending one.
    """
    names = as_list(labels, "labels", "texts", MOST_LABELS)
    if not 1 <= len(names) <= MOST_LABELS:
        got = f"more than {MOST_LABELS}" if names else "none"
        raise InputError(f"labels must be 1 to {MOST_LABELS} texts, got {got}")
    meant: dict[str, str] = {}
    found: dict[str, tuple[str, ...]] = {}
    for name in _short(as_texts(names, "labels"), "labels"):
        meaning = singular(without_article(name)).casefold()
        if meaning in meant:
            raise InputError(f"the labels must all mean something else, got {shown(meant[meaning])} and {shown(name)}")
        meant[meaning] = name
        found[name] = _texts(labels[name], name) if isinstance(labels, Mapping) else ()
    return found


def _texts(given: object, name: str) -> tuple[str, ...]:
    if given is None or given is ...:
        return ()
    what = f"texts for the label {shown(name)}"
    texts = _short(as_texts([given] if isinstance(given, str) else given, what), what)
    if not texts:
        raise InputError(f"the {what} must be one or more; write None to have them chosen")
    return tuple(texts)


def _short(texts: list[str], what: str) -> list[str]:
    for text in texts:
        if len(text) > LONGEST_LABEL:
            raise InputError(f"each of the {what} must have at most {LONGEST_LABEL} characters, got {len(text)}")
    return texts
