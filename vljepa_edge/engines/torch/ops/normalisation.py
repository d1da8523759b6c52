"""Norms and softmax."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vljepa_edge.engines.torch.ops.attributes import Op


def _batch_norm(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> Tensor:
    if training_mode:
        raise ValueError("training mode is not supported")
    return F.batch_norm(x, mean, var, scale, bias, False, 0.0, epsilon)


def _instance_norm(x: Tensor, scale: Tensor, bias: Tensor, epsilon: float = 1e-5) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=bias, eps=epsilon)


def _group_norm(
    x: Tensor, scale: Tensor, bias: Tensor, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    if scale.numel() != x.shape[1]:  # opset 18: one a group
        repeats = x.shape[1] // num_groups
        scale, bias = scale.repeat_interleave(repeats), bias.repeat_interleave(repeats)
    return F.group_norm(x, num_groups, scale, bias, epsilon)


def _layer_norm(
    x: Tensor, scale: Tensor, bias: Tensor | None = None, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    dims = tuple(range(axis % x.dim(), x.dim()))
    centred = x - x.mean(dim=dims, keepdim=True)
    normed = centred * torch.rsqrt(centred.square().mean(dim=dims, keepdim=True) + epsilon) * scale
    return normed if bias is None else normed + bias


def _rms_norm(x: Tensor, scale: Tensor, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> Tensor:
    dims = tuple(range(axis % x.dim(), x.dim()))
    return x * torch.rsqrt(x.square().mean(dim=dims, keepdim=True) + epsilon) * scale


def _softmax(x: Tensor, axis: int = -1) -> Tensor:
    return x.softmax(axis)


def _log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    return x.log_softmax(axis)


OPS: dict[str, Op] = {
    "BatchNormalization": _batch_norm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LogSoftmax": _log_softmax,
    "RMSNormalization": _rms_norm,
    "Softmax": _softmax,
}
