"""Discriminative VQA (paper, section 4.2): of the candidate answers the nearest to the predicted embedding."""

from __future__ import annotations

import numpy as np

from vljepa_edge.evaluation import metrics
from vljepa_edge.evaluation.classes import folded
from vljepa_edge.evaluation.embedder import Embedder, Look
from vljepa_edge.evaluation.items import Questions
from vljepa_edge.evaluation.protocols.nearest import grouped


def measure(task: Questions, embedder: Embedder) -> dict[str, float]:
    """Accuracy over all questions, and where there are groups the mean of theirs and each one's own. Where every
    question is one of yes and no, in capitals or not, F1 of yes, too."""
    names = sorted({name for item in task.items for name in item.candidates})
    places = {name: place for place, name in enumerate(names)}
    texts = metrics.units(embedder.embed_texts(names))
    seen = metrics.units(embedder.embed_media([Look(item.media, item.text) for item in task.items]))
    scores = [
        texts[[places[name] for name in item.candidates]] @ row for row, item in zip(seen, task.items, strict=True)
    ]
    right = metrics.answers(scores, [item.answer for item in task.items])
    yes = np.array([folded(item.candidates[item.answer]) == "yes" for item in task.items])
    binary = all(set(map(folded, item.candidates)) == {"yes", "no"} for item in task.items)
    found = {"accuracy": metrics.share(right)}
    groups = grouped(task.items)
    if len(groups) > 1:
        own = {f"accuracy, {group}": metrics.share(right[rows]) for group, rows in groups.items()}
        found |= metrics.by_group(own, "mean accuracy")
    if binary:
        f1 = {f"F1, {g}": metrics.binary_f1(right[rows], yes[rows]) for g, rows in groups.items()}
        found |= metrics.by_group(f1, "mean F1") if len(groups) > 1 else {"F1": next(iter(f1.values()))}
    return found
