"""What a run is judged by while it goes on: retrieval on a validation set, ties never going to the right answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from vljepa_edge.evaluation.ranks import percent, ranks
from vljepa_edge.training.batch import Batch
from vljepa_edge.training.objective import Embeddings


@torch.no_grad()
def retrieval(embed: Callable[[Batch], Embeddings], batches: Iterable[Batch], samples: int) -> dict[str, float]:
    """R@1 and R@5 of text to video and of video to text, in per cent, of the first samples.

    Texts of equal keys are one text: every video of it is right for it. Each text is asked once.
    """
    predicted, target, keys = [], [], []
    count = 0
    for batch in batches:
        found = embed(batch)
        predicted.append(found.predicted.float().cpu())
        target.append(found.target.float().cpu())
        keys.append(batch.keys.cpu())
        count += len(batch)
        if count >= samples:
            break
    videos, texts, key = torch.cat(predicted)[:samples], torch.cat(target)[:samples], torch.cat(keys)[:samples]
    first = _first_places(key)
    texts, of_text = texts[first], key[first]
    right = (of_text[:, None] == key).numpy()
    scores = (texts @ videos.T).numpy()
    figures: dict[str, float] = {}
    for name, table, wanted in (("t2v", scores, right), ("v2t", scores.T, right.T)):
        rank = ranks(table, wanted)
        figures |= {f"{name}_R@1": percent(rank < 1), f"{name}_R@5": percent(rank < 5)}
    return figures


def _first_places(keys: torch.Tensor) -> torch.Tensor:
    """Where each different key comes first."""
    values, inverse = torch.unique(keys, return_inverse=True)
    places = torch.full((len(values),), len(keys))
    return places.scatter_reduce(0, inverse, torch.arange(len(keys)), "amin")
