"""Open-vocabulary classification: the label whose embedding is nearest to the predicted one (paper, section 4.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError
from vljepa_edge.support.arguments import as_list, as_text, shown

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception
    from vljepa_edge.perception.text_sets import OnTexts
    from vljepa_edge.video.source import SourceLike

MOST_LABELS = 10_000
LONGEST_LABEL = 1_000


@dataclass(frozen=True, slots=True)
class Score:
    """A label and how well it fits."""

    label: str
    score: float


def classify(
    model: Perception,
    source: SourceLike,
    labels: Iterable[str],
    query: str | None = None,
    report: OnTexts | None = None,
) -> list[Score]:
    """All labels with their probabilities (they sum to 1), best first.

    Labels are put into the manifest's prompt "classify" (as they are when it has none). Probabilities are
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
    return rank(names, model.text.sets.get(texts, report) @ seen, prompts.scale)


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


def rank(names: Sequence[str], cosines: NDArray[np.float32], inverse_temperature: float) -> list[Score]:
    """Names with softmax(inverse temperature x cosine), best first; equal ones in the order given."""
    logits = np.float64(inverse_temperature) * cosines
    powers = np.exp(logits - logits.max())
    scores = powers / powers.sum()
    return [Score(names[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")]
