"""VICReg (arXiv 2105.04906): pairs alike, every channel spread over the batch, no two channels saying the same."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vljepa_edge.errors import InputError

_SPREAD = 1.0
"""The standard deviation below which a channel is punished, gamma of the paper."""
_EPSILON = 1e-4
"""Keeps the gradient of the standard deviation finite where a channel is constant."""


def vicreg(
    predicted: Tensor, target: Tensor, *, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0
) -> Tensor:
    """The weighted sum of three terms of predicted and target, (B, E) each, the defaults being the paper's weights.

    invariance: the mean squared difference over rows and channels. variance: what channels lack to a standard deviation
    of 1, the mean over channels, then over both sides. covariance: the squares of what is off the diagonal of the
    covariance matrix, summed and divided by E, of both sides together. As in the authors' code, to which the weights
    belong; the paper's formulas differ from it by constants.

    Unit rows have channels of deviation E ** -0.5 at most: give them times E ** 0.5. Raises InputError for less than
    two rows, whose variance means nothing.
    """
    if predicted.ndim != 2 or target.shape != predicted.shape or len(predicted) < 2:
        shapes = f"{tuple(predicted.shape)} and {tuple(target.shape)}"
        raise InputError(f"predicted and target must be (B, E) and alike, B at least 2, not {shapes}")
    sides = [_centred(predicted), _centred(target)]
    spread = torch.stack([_lack_of_variance(side) for side in sides]).mean()
    shared = torch.stack([_shared_variance(side) for side in sides]).sum()
    return invariance * F.mse_loss(predicted, target) + variance * spread + covariance * shared


def _centred(rows: Tensor) -> Tensor:
    """In fp32 at least, whatever the rows are."""
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    return rows - rows.mean(0)


def _lack_of_variance(centred: Tensor) -> Tensor:
    deviation = (centred.square().sum(0) / (len(centred) - 1) + _EPSILON).sqrt()
    return F.relu(_SPREAD - deviation).mean()


def _shared_variance(centred: Tensor) -> Tensor:
    matrix = centred.T @ centred / (len(centred) - 1)
    return (matrix.square().sum() - matrix.diagonal().square().sum()) / len(matrix)
