"""Open-vocabulary classification: the label whose embedding is nearest to the predicted one (paper, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.bundle.manifest import MANIFEST
from vljepa_edge.errors import BundleError, InputError

if TYPE_CHECKING:
    from vljepa_edge.bundle.manifest import Manifest
    from vljepa_edge.perception.perception import Perception

MOST_LABELS = 10_000
LONGEST_LABEL = 1_000
DEFAULT_SCALE = 20.0


@dataclass(frozen=True, slots=True)
class Score:
    """A label and how well it fits."""

    label: str
    score: float


def classify(model: Perception, source: Any, labels: Sequence[str], query: str | None = None) -> list[Score]:
    """All labels with their probabilities (they sum to 1), best first.

    Labels are put into the manifest's prompt "classify" (as they are when it has none). Probabilities are
    softmax(scale x cosine); the scale, an inverse temperature, is the manifest's prompt "scale" (1 / the temperature of
    training; 20 when it has none). `query` is what the predictor is asked (None: the manifest's prompt
    "classify_query", else its default).

    Raises InputError for no labels, empty, repeated or overlong labels, or more than 10,000; VideoError for the source;
    EngineError when a graph fails or an embedding is not finite.
    """
    names = check_labels(labels, "labels")
    texts = [fill(model.manifest, "classify", "label", name) for name in names]
    asked = model.manifest.prompts.get("classify_query") if query is None else query
    return rank(names, model.embed_text(texts) @ model.embed_video(source, asked), scale(model.manifest))


def check_labels(labels: Sequence[str], what: str) -> list[str]:
    """Labels without outer blanks. Raises InputError, naming the offending one."""
    if isinstance(labels, str):
        raise InputError(f"{what} must be a list of strings, not one string; write [{labels!r}]")
    for label in labels:
        if not isinstance(label, str) or not label.strip():
            raise InputError(f"{label!r} can't be one of the {what}; each must be a text with at least one letter")
        if len(label) > LONGEST_LABEL:
            raise InputError(f"one of the {what} has {len(label)} characters; at most {LONGEST_LABEL} are legal")
    names = [label.strip() for label in labels]
    if not 1 <= len(names) <= MOST_LABELS:
        raise InputError(f"{len(names)} {what} were given; legal are 1 to {MOST_LABELS}")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{twice!r} is there twice among the {what}; give each once")
    return names


def fill(manifest: Manifest, prompt: str, place: str, text: str) -> str:
    """`text` put into one of the manifest's prompts, in place of {place}; as it is when there is no such prompt."""
    return manifest.prompts.get(prompt, f"{{{place}}}").replace(f"{{{place}}}", text)


def scale(manifest: Manifest) -> float:
    """The inverse temperature of probabilities. Raises BundleError when the manifest's is no number above 0."""
    try:
        value = float(manifest.prompts.get("scale", DEFAULT_SCALE))
    except ValueError:
        value = 0.0
    if not 0 < value < np.inf:
        raise BundleError(MANIFEST, f"prompts.scale is {manifest.prompts['scale']!r}; it must be a number above 0")
    return value


def rank(names: Sequence[str], cosines: NDArray[np.float32], inverse_temperature: float) -> list[Score]:
    """Names with softmax(inverse temperature x cosine), best first; equal ones in the order given."""
    logits = np.float64(inverse_temperature) * cosines
    powers = np.exp(logits - logits.max())
    scores = powers / powers.sum()
    return [Score(names[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")]
