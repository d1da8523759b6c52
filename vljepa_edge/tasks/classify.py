"""Open-vocabulary classification: the label whose embedding is nearest to the predicted one (paper, section 4.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError
from vljepa_edge.support.arguments import as_list, as_probability, as_text, shown

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception
    from vljepa_edge.perception.text_sets import OnTexts
    from vljepa_edge.video.source import SourceLike

MOST_LABELS = 10_000
LONGEST_LABEL = 1_000
MIN_PROBABILITY = 0.5


@dataclass(frozen=True, slots=True)
class Score:
    """A label and how well it fits.

    score        compares it with the other labels: of all of them they sum to 1, also when none fits
    probability  that the label fits, whatever the others: calibrated on held-out data. None where the bundle has no
                 calibrator for it
    """

    label: str
    score: float
    probability: float | None = None


def best_label(scores: Sequence[Score], min_probability: float = MIN_PROBABILITY) -> Score | None:
    """The first of the scores that `classify` gives, or None for "none of these": no label's probability reaches
    `min_probability` (0.5: what is more likely wrong than right is no answer).

    Where a bundle has no calibrator nothing speaks against the first, and it is returned. Raises InputError.
    """
    least = as_probability(min_probability, "min_probability")
    given = as_list(scores, "scores", "Score")
    if not given or not all(isinstance(score, Score) for score in given):
        raise InputError(f"scores must be one or more Score, as classify gives them, got {shown(scores)}")
    known = [score.probability for score in given if score.probability is not None]
    return given[0] if not known or max(known) >= least else None


def classify(
    model: Perception,
    source: SourceLike,
    labels: Iterable[str],
    query: str | None = None,
    report: OnTexts | None = None,
) -> list[Score]:
    """All labels, best first: their scores sum to 1, and their probabilities are each label's own.

    Labels are put into the manifest's prompt "classify" (as they are when it has none). Scores are
    softmax(scale x cosine); the scale, an inverse temperature, is the manifest's prompt "scale" (1 / the temperature of
    training; 20 when it has none). `query` is what the predictor is asked (None: the manifest's prompt
    "classify_query", else its default; "": nothing).

    The model keeps the embeddings of the label sets used last, 64 MiB of them at most, so the same labels cost nothing
    the next time. report: called with how many labels are embedded, and how many there are, while they are.

    Raises InputError for no labels, empty, repeated or overlong labels, or more than 10,000; VideoError for the source;
    EngineError when a graph fails or an embedding is not finite.
    """
    names = check_labels(labels, "labels")
    prompts = model.manifest.prompts
    seen = model.embed_video(source, prompts.classify_query if query is None else query)
    texts = [prompts.classify.replace("{label}", name) for name in names]
    cosines = model.text.sets.get(texts, report) @ seen
    return rank(names, cosines, prompts.scale, model.confidence.label(cosines))


def check_labels(labels: object, what: str) -> list[str]:
    """Labels without outer blanks. Raises InputError, naming the offending one."""
    names = []
    for label in as_list(labels, what, "texts", MOST_LABELS):
        names.append(as_text(label, f"each of the {what}").strip())
        if not names[-1]:
            raise InputError(f"each of the {what} must have at least one letter, got {shown(label)}")
        if len(names[-1]) > LONGEST_LABEL:
            raise InputError(f"each of the {what} must have at most {LONGEST_LABEL} characters, got {len(names[-1])}")
    if not 1 <= len(names) <= MOST_LABELS:
        got = f"more than {MOST_LABELS}" if names else "none"
        raise InputError(f"{what} must be 1 to {MOST_LABELS} texts, got {got}")
    if len(set(names)) != len(names):
        (twice, count), *_ = Counter(names).most_common(1)
        raise InputError(f"the {what} must all differ, got {shown(twice)} {count} times")
    return names


def rank(
    names: Sequence[str],
    cosines: NDArray[np.float32],
    inverse_temperature: float,
    probabilities: NDArray[np.float64] | None = None,
) -> list[Score]:
    """Names with softmax(inverse temperature x cosine), best first; equal ones in the order given."""
    logits = np.float64(inverse_temperature) * cosines
    powers = np.exp(logits - logits.max())
    scores = powers / powers.sum()
    sure = [None] * len(names) if probabilities is None else probabilities.tolist()
    return [Score(names[i], float(scores[i]), sure[i]) for i in np.argsort(-scores, kind="stable")]
