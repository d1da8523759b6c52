"""Zero-shot classification (paper, section 4.1): the class whose text is nearest to the predicted embedding."""

from __future__ import annotations

import numpy as np

from vljepa_edge.evaluation.embedder import Embedder
from vljepa_edge.evaluation.items import Classification
from vljepa_edge.evaluation.metrics import telling, top_k
from vljepa_edge.evaluation.protocols.nearest import class_scores


def measure(task: Classification, embedder: Embedder) -> dict[str, float]:
    """top-1 and, of more than five classes, top-5 over all clips."""
    scores = class_scores(embedder, task.labels, task.items, task.query)
    right = np.array([item.label for item in task.items], np.int64)
    return {f"top-{k}": top_k(scores, right, k) for k in telling((1, 5), len(task.labels))}
