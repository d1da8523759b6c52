"""Text-to-video retrieval (paper, section 4.1): videos under a captioning prompt, ranked against an encoded text."""

from __future__ import annotations

from vljepa_edge.evaluation import metrics
from vljepa_edge.evaluation.embedder import Embedder, Look
from vljepa_edge.evaluation.items import Retrieval
from vljepa_edge.evaluation.telling import owners_of


def measure(task: Retrieval, embedder: Embedder) -> dict[str, float]:
    """R@1, over more videos R@5 and R@10, of all texts, and the median rank. Equal texts share their videos (as in
    perception_models); a text of all videos is left out, as it can find no wrong one."""
    owners = {text: own for text, own in owners_of(task).items() if len(own) < len(task.items)}
    texts = [text for item in task.items for text in item.texts if text in owners]
    videos = embedder.embed_media([Look(item.media, task.query) for item in task.items])
    right = [sorted(owners[text]) for text in texts]
    seen = metrics.seen(videos)
    rivals = min(int(seen.sum()) - int(seen[own].sum()) for own in right)
    return metrics.retrieval(metrics.retrieval_ranks(embedder.embed_texts(texts), videos, right), len(videos), rivals)
