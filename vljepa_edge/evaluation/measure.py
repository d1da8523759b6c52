"""The figures of a task, by the protocol of its kind."""

from __future__ import annotations

from vljepa_edge.evaluation import items
from vljepa_edge.evaluation.embedder import Embedder
from vljepa_edge.evaluation.protocols import (
    anticipation,
    captioning,
    classification,
    hard_negatives,
    question,
    retrieval,
    transition,
)
from vljepa_edge.evaluation.telling import check_telling


def measure(task: items.Task, embedder: Embedder) -> dict[str, float]:
    """Figures by name, the most important one first. Raises InputError for a task that tells nothing (see
    `check_telling`)."""
    check_telling(task)
    match task:
        case items.Classification():
            return classification.measure(task, embedder)
        case items.Anticipation():
            return anticipation.measure(task, embedder)
        case items.Retrieval():
            return retrieval.measure(task, embedder)
        case items.Captioning():
            return captioning.measure(task, embedder)
        case items.Questions():
            return question.measure(task, embedder)
        case items.Transitions():
            return transition.measure(task, embedder)
        case items.Triplets():
            return hard_negatives.measure(task, embedder)
