"""Text-to-video retrieval (paper, section 4.1): videos under a captioning prompt, ranked against an encoded text."""

from __future__ import annotations

from vljepa_edge.errors import InputError
from vljepa_edge.evaluation import metrics
from vljepa_edge.evaluation.embedder import Embedder, Look
from vljepa_edge.evaluation.items import Retrieval


def measure(task: Retrieval, embedder: Embedder) -> dict[str, float]:
    """R@1, over more videos R@5 and R@10, of all texts, and the median rank. Equal texts share their videos (as in
    perception_models). Raises InputError where every text is right for every video."""
    texts = [text for item in task.items for text in item.texts]
    owners = [place for place, item in enumerate(task.items) for _ in item.texts]
    shared: dict[str, set[int]] = {}
    for text, owner in zip(texts, owners, strict=True):
        shared.setdefault(text, set()).add(owner)
    right = [sorted(shared[text]) for text in texts]
    if all(len(own) == len(task.items) for own in right):
        raise InputError(f"retrieval must have a text that one of its {len(task.items)} videos lacks, got none")
    videos = embedder.embed_media([Look(item.media, task.query) for item in task.items])
    return metrics.retrieval(metrics.retrieval_ranks(embedder.embed_texts(texts), videos, right), len(videos))
