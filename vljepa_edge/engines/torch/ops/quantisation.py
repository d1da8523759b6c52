"""Rounding to 8 bits and back."""

from __future__ import annotations

import torch
from torch import Tensor

from vljepa_edge.engines.torch.ops.attributes import DTYPES, Op


def _along(x: Tensor, scale: Tensor, axis: int, block_size: int) -> Tensor:
    """`scale` shaped to meet x: one number, one for each place on `axis`, or one a block."""
    if scale.numel() == 1:
        return scale.reshape(())
    if block_size:
        return scale.repeat_interleave(block_size, axis).narrow(axis, 0, x.shape[axis])
    return scale.reshape([-1 if i == axis % x.dim() else 1 for i in range(x.dim())])


def _dequantize(
    x: Tensor, scale: Tensor, zero: Tensor | None = None, axis: int = 1, block_size: int = 0, output_dtype: int = 0
) -> Tensor:
    value = x.to(scale.dtype)
    if zero is not None:
        value = value - _along(x, zero, axis, block_size).to(scale.dtype)
    value = value * _along(x, scale, axis, block_size)
    return value.to(DTYPES[output_dtype]) if output_dtype else value


def _quantize(
    x: Tensor,
    scale: Tensor,
    zero: Tensor | None = None,
    axis: int = 1,
    saturate: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
) -> Tensor:
    dtype = zero.dtype if zero is not None else DTYPES[output_dtype] if output_dtype else torch.uint8
    limits = torch.iinfo(dtype)
    value = torch.round(x / _along(x, scale, axis, block_size))
    if zero is not None:
        value = value + _along(x, zero, axis, block_size).to(x.dtype)
    return value.clamp(limits.min, limits.max).to(dtype)


OPS: dict[str, Op] = {
    "DequantizeLinear": _dequantize,
    "QuantizeLinear": _quantize,
}
