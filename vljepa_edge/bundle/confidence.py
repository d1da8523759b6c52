"""What a manifest says of how sure its model may be: calibrators, and general sentences to fall back on.

A calibrator turns one number, mostly the cosine between a text's embedding and the prediction, into the probability
that the text is right. It is fitted on held-out data (vljepa_edge.training.confidence).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from vljepa_edge.bundle.part import Part

Probability = Annotated[float, Field(ge=0, le=1)]
_Finite = Annotated[float, Field(ge=-1e6, le=1e6)]
_Query = Annotated[str, Field(max_length=10_000)]


class LogisticEntry(Part):
    """1 / (1 + exp(-(slope x number + offset))): a higher number is never less probable."""

    kind: Literal["logistic"]
    slope: Annotated[float, Field(ge=0, le=1e6)]
    offset: _Finite


class IsotonicEntry(Part):
    """Straight lines between knots (number, probability), level before the first and after the last."""

    kind: Literal["isotonic"]
    knots: Annotated[tuple[tuple[_Finite, Probability], ...], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _rising(self) -> IsotonicEntry:
        for (low, less), (high, more) in pairwise(self.knots):
            if not low < high or less > more:
                got = f"{[low, less]} and then {[high, more]}"
                raise ValueError(f"knots: numbers must rise and probabilities must not fall, got {got}")
        return self


CalibratorEntry = Annotated[LogisticEntry | IsotonicEntry, Field(discriminator="kind")]


class GeneralEntry(Part):
    """Sentences in general words, one a line of the file `texts`, and the float16 .npy [N, E] of their embeddings.

    calibrator: of the cosine between the nearest of them and the prediction.
    """

    texts: str
    embeddings: str
    calibrator: CalibratorEntry


class ConfidenceEntry(Part):
    """Calibrators by what they judge, and from what confidence on a text is shown.

    caption     of decoded text: its cosine with the prediction. caption_queries: what asks for a caption, beside the
                default query and the empty one
    answer      of an answer to any other query: the same cosine
    label       of one label of a classifier, whatever the others: its cosine, in the prompt `classify`, with the
                prediction under `classify_query`
    watch       of one label that is watched for: its score (vljepa_edge.perception.labels). None: the runtime's own
    presence    of "yes" to "Is there ...?": the cosine of "yes" less that of "no", in the prompt `answer`
    general     what text falls back on when a caption is less sure than min_confidence
    """

    caption: CalibratorEntry | None = None
    caption_queries: Annotated[tuple[_Query, ...], Field(max_length=1000)] = ()
    answer: CalibratorEntry | None = None
    label: CalibratorEntry | None = None
    watch: CalibratorEntry | None = None
    presence: CalibratorEntry | None = None
    general: GeneralEntry | None = None
    min_confidence: Probability = 0.0
