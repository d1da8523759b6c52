"""Captioning: what the Y-decoder says of a predicted embedding, against what people said (paper, section 4.5)."""

from __future__ import annotations

from vljepa_edge.evaluation.cider import cider
from vljepa_edge.evaluation.embedder import Embedder, Look
from vljepa_edge.evaluation.items import Captioning


def measure(task: Captioning, embedder: Embedder) -> dict[str, float]:
    """CIDEr, times 100 as papers print it; n-grams are weighed by how rare they are among all references. Beside it
    `different texts`, per cent: CIDEr itself gives a model that says the same of everything more than nothing."""
    said = embedder.decode(embedder.embed_media([Look(item.media, task.query) for item in task.items]))
    score = cider(said, [item.texts for item in task.items])
    return {"CIDEr": score, "different texts": 100.0 * len(set(said)) / len(said)}
