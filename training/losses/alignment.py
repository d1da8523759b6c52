"""Distances of each prediction to its own target, nothing else: the paper's ablation (cosine, L1, L2).

None of them keeps the targets apart, so they are for a frozen or averaged Y-encoder: a trained one collapses.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def cosine(predicted: Tensor, target: Tensor) -> Tensor:
    """1 - cosine, 0 to 2, the mean over rows. predicted, target (B, E) of any length."""
    return (1 - F.cosine_similarity(predicted, target, dim=-1)).mean()


def l1(predicted: Tensor, target: Tensor) -> Tensor:
    """The sum over channels of absolute differences, the mean over rows. predicted, target (B, E)."""
    return (predicted - target).abs().sum(-1).mean()


def l2(predicted: Tensor, target: Tensor) -> Tensor:
    """The squared distance, the mean over rows. predicted, target (B, E); of unit rows it is twice `cosine`."""
    return (predicted - target).square().sum(-1).mean()
