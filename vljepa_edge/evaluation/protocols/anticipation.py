"""Action anticipation (paper, section 4.4): the next action's text is the nearest to the predicted embedding."""

from __future__ import annotations

import numpy as np

from vljepa_edge.evaluation.embedder import Embedder
from vljepa_edge.evaluation.items import Anticipation
from vljepa_edge.evaluation.metrics import class_mean_recall, telling, top_k
from vljepa_edge.evaluation.protocols.nearest import class_scores, grouped


def measure(task: Anticipation, embedder: Embedder) -> dict[str, float]:
    """Class-mean recall@5, where there are more than five classes, and top-1 accuracy of each group (how far ahead),
    over the classes that occur in it."""
    scores = class_scores(embedder, task.labels, task.items, task.query)
    right = np.array([item.label for item in task.items], np.int64)
    found = {}
    for group, places in grouped(task.items).items():
        behind = f", {group}" if group else ""
        for k in telling((5,), len(task.labels)):
            found[f"recall@{k}{behind}"] = class_mean_recall(scores[places], right[places], k)
        found[f"top-1{behind}"] = top_k(scores[places], right[places], 1)
    return found
