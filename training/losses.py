"""Bidirectional InfoNCE (section 3 of the paper), as pure functions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_EXCLUDED = -1e4


def info_nce(
    predicted: Tensor,
    target: Tensor,
    scale: Tensor,
    same: Tensor | None = None,
    hard: Tensor | None = None,
    hard_mask: Tensor | None = None,
) -> Tensor:
    """Mean of video-to-text and text-to-video cross-entropy.

    predicted, target: (B, E) unit rows, row i of one belongs to row i of the other. scale: exp of the learned log
    temperature. same: (B, B) bool, [i, j] true where target j is right for video i as well, so that it is no negative
    (the diagonal is ignored). hard: (B, K, E) more negative texts for each video, hard_mask (B, K) true where there is
    one.
    """
    scores = predicted @ target.T * scale
    own = torch.arange(len(scores), device=scores.device)
    if same is not None:
        same = same.clone()
        same[own, own] = False
        scores = scores.masked_fill(same, _EXCLUDED)
    texts = scores
    if hard is not None:
        more = torch.einsum("be,bke->bk", predicted, hard) * scale
        if hard_mask is not None:
            more = more.masked_fill(~hard_mask, _EXCLUDED)
        texts = torch.cat([scores, more], 1)
    return (F.cross_entropy(texts, own) + F.cross_entropy(scores.T, own)) / 2
