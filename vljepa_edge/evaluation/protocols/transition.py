"""World prediction (paper, section 4.3): of the candidate clips the nearest to the embedding of the two states."""

from __future__ import annotations

from vljepa_edge.evaluation import metrics
from vljepa_edge.evaluation.embedder import Embedder, Look
from vljepa_edge.evaluation.items import Transitions
from vljepa_edge.evaluation.protocols.nearest import grouped


def measure(task: Transitions, embedder: Embedder) -> dict[str, float]:
    """Accuracy over all of them, and of each group where there are several."""
    states = embedder.embed_media([Look(item.change) for item in task.items])
    clips = embedder.embed_media([Look(clip, task.query) for item in task.items for clip in item.candidates])
    scores, begin = [], 0
    for state, item in zip(states, task.items, strict=True):
        scores.append(metrics.cosines(state[None], clips[begin : begin + len(item.candidates)])[0])
        begin += len(item.candidates)
    right = metrics.answers(scores, [item.right for item in task.items])
    found = {"accuracy": metrics.share(right)}
    groups = grouped(task.items)
    return found | ({f"accuracy, {g}": metrics.share(right[r]) for g, r in groups.items()} if len(groups) > 1 else {})
