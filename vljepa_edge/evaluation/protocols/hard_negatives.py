"""Text hard negatives (paper, section 4.7): two texts that say the same must be nearer than the one that does not."""

from __future__ import annotations

import numpy as np

from vljepa_edge.evaluation import metrics
from vljepa_edge.evaluation.embedder import Embedder
from vljepa_edge.evaluation.items import Triplets
from vljepa_edge.evaluation.protocols.nearest import grouped


def measure(task: Triplets, embedder: Embedder) -> dict[str, float]:
    """The mean of the groups, unweighted as in the paper's table, and each group's share of right triplets.

    The texts are read without the Y-encoder's prompt, as the official code reads them.
    """
    found = {}
    for group, places in grouped(task.items).items():
        items = [task.items[place] for place in places]
        rows = {text: row for row, text in enumerate(dict.fromkeys(text for item in items for text in item.texts))}
        embedded = embedder.embed_texts(list(rows), prompt=False)
        own = np.array([[rows[text] for text in item.texts] for item in items])
        found[group or "all"] = metrics.share(metrics.hard_negatives(*(embedded[part] for part in own.T)))
    return metrics.by_group(found)
