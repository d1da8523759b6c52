"""Convolution, pooling and padding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vljepa_edge.engines.torch.ops.attributes import Op, ints


def _padding(
    x: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int] | None,
    auto: str,
) -> list[int]:
    """Pads of each spatial axis as F.pad wants them: the last axis first, (before, after)."""
    rank = len(kernel)
    begins, ends = (list(pads[:rank]), list(pads[rank:])) if pads else ([0] * rank, [0] * rank)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        for i, size in enumerate(x.shape[2:]):
            reach = (math.ceil(size / strides[i]) - 1) * strides[i] + dilations[i] * (kernel[i] - 1) + 1
            total = max(0, reach - size)
            small, large = total // 2, total - total // 2
            begins[i], ends[i] = (small, large) if auto == "SAME_UPPER" else (large, small)
    elif auto == "VALID":
        begins, ends = [0] * rank, [0] * rank
    elif auto != "NOTSET":
        raise ValueError(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, got {auto}")
    return [pad for i in reversed(range(rank)) for pad in (begins[i], ends[i])]


def _conv(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    rank = w.dim() - 2
    dilations, strides = dilations or [1] * rank, strides or [1] * rank
    x = F.pad(x, _padding(x, w.shape[2:], strides, dilations, pads, auto_pad))
    function: Op = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    result: Tensor = function(x, w, b, tuple(strides), 0, tuple(dilations), group)
    return result


def _average_pool(
    x: Tensor,
    kernel_shape: Sequence[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    rank = len(kernel_shape)
    if any(step != 1 for step in dilations or ()):
        raise ValueError("dilations other than 1 are not supported")
    strides = strides or [1] * rank
    padding = _padding(x, kernel_shape, strides, [1] * rank, pads, auto_pad)
    function: Op = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[rank - 1]

    def pool(y: Tensor) -> Tensor:
        result: Tensor = function(F.pad(y, padding), tuple(kernel_shape), tuple(strides), 0, bool(ceil_mode))
        return result

    return pool(x) if count_include_pad or not any(padding) else pool(x) / pool(torch.ones_like(x))


def _max_pool(
    x: Tensor,
    kernel_shape: Sequence[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    storage_order: int = 0,
    strides: Sequence[int] | None = None,
) -> Tensor:
    rank = len(kernel_shape)
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    padded = F.pad(x, _padding(x, kernel_shape, strides, dilations, pads, auto_pad), value=-math.inf)
    function: Op = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[rank - 1]
    result: Tensor = function(padded, tuple(kernel_shape), tuple(strides), 0, tuple(dilations), bool(ceil_mode))
    return result


def _global_average_pool(x: Tensor) -> Tensor:
    return x.mean(dim=tuple(range(2, x.dim())), keepdim=True)


def _global_max_pool(x: Tensor) -> Tensor:
    return x.amax(dim=tuple(range(2, x.dim())), keepdim=True)


def _pad(
    x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None, mode: str = "constant"
) -> Tensor:
    sizes = ints(pads)
    chosen = [axis % x.dim() for axis in (ints(axes) if axes is not None else range(x.dim()))]
    for i, axis in enumerate(chosen):
        before, after = sizes[i], sizes[i + len(chosen)]
        if mode == "constant":
            fill = 0 if value is None else value.item()
            flat = [0, 0] * (x.dim() - 1 - axis) + [before, after]
            x = F.pad(x, flat, value=fill)
        else:
            places = torch.arange(-before, x.shape[axis] + after)
            x = x.index_select(axis, _reflected(places, x.shape[axis], mode))
    return x


def _reflected(places: Tensor, size: int, mode: str) -> Tensor:
    """Where a place outside [0, size) takes its value from."""
    if mode == "edge":
        return places.clamp(0, size - 1)
    if mode == "wrap":
        return places.remainder(size)
    if mode == "reflect":
        period = max(2 * (size - 1), 1)
        places = places.remainder(period)
        return torch.minimum(places, period - places)
    raise ValueError(f"mode must be edge, wrap or reflect, got {mode}")


OPS: dict[str, Op] = {
    "AveragePool": _average_pool,
    "Conv": _conv,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
    "MaxPool": _max_pool,
    "Pad": _pad,
}
