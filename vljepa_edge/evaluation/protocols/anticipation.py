"""Action anticipation (paper, section 4.4): the next action's text is the nearest to the predicted embedding."""

from __future__ import annotations

import numpy as np

from vljepa_edge.evaluation.embedder import Embedder
from vljepa_edge.evaluation.items import Anticipation
from vljepa_edge.evaluation.metrics import class_mean_recall, top_k
from vljepa_edge.evaluation.protocols.nearest import class_scores, grouped


def measure(task: Anticipation, embedder: Embedder) -> dict[str, float]:
    """Top-1 accuracy and, of more than five classes, class-mean recall@5 of each group (how far ahead), over the
    classes that occur in it."""
    scores = class_scores(embedder, task.labels, task.items, task.query)
    right = np.array([item.label for item in task.items], np.int64)
    found = {}
    for group, places in grouped(task.items).items():
        behind = f", {group}" if group else ""
        if len(task.labels) > 5:  # of five all are among the five nearest
            found[f"recall@5{behind}"] = class_mean_recall(scores[places], right[places], 5)
        found[f"top-1{behind}"] = top_k(scores[places], right[places], 1)
    return found
