"""Text hard negatives (paper, section 4.7): two texts that say the same must be nearer than the one that does not."""

from __future__ import annotations

from vljepa_edge.evaluation import metrics
from vljepa_edge.evaluation.embedder import Embedder
from vljepa_edge.evaluation.items import Triplets
from vljepa_edge.evaluation.protocols.nearest import grouped


def measure(task: Triplets, embedder: Embedder) -> dict[str, float]:
    """The mean of the groups, unweighted as in the paper's table, and each group's share of right triplets.

    The texts are read without the Y-encoder's prompt, as the official code reads them.
    """
    texts = sorted({text for item in task.items for text in (item.first, item.second, item.negative)})
    places = {text: place for place, text in enumerate(texts)}
    rows = embedder.embed_texts(texts, prompt=False)
    first, second, negative = (
        rows[[places[getattr(item, part)] for item in task.items]] for part in ("first", "second", "negative")
    )
    right = metrics.hard_negatives(first, second, negative)
    return metrics.by_group({g or "all": metrics.share(right[rows_]) for g, rows_ in grouped(task.items).items()})
