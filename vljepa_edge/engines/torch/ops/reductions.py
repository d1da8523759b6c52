"""Reductions: sums and means, the largest and the first of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vljepa_edge.engines.torch.ops.attributes import Op, axes_of


def _reduce(function: Callable[[Tensor, tuple[int, ...], bool], Tensor]) -> Op:
    def op(
        x: Tensor, axes: Tensor | Sequence[int] | None = None, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Tensor:
        dims = axes_of(axes)
        if not dims and noop_with_empty_axes:
            return x
        return function(x, tuple(dims or range(x.dim())), bool(keepdims))

    return op


def _prod(x: Tensor, dims: tuple[int, ...], keep: bool) -> Tensor:
    for dim in sorted((dim % x.dim() for dim in dims), reverse=True):
        x = x.prod(dim, keepdim=keep)
    return x


def _arg(function: Op) -> Op:
    def op(x: Tensor, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
        if not select_last_index:
            first: Tensor = function(x, axis, keepdim=bool(keepdims))
            return first
        last: Tensor = function(x.flip(axis), axis, keepdim=bool(keepdims))
        return x.shape[axis] - 1 - last

    return op


def _top_k(x: Tensor, k: Tensor, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Tensor, Tensor]:
    # topk breaks ties as it likes; ONNX takes the lower index, so sort stably.
    values, indices = x.sort(dim=axis, descending=bool(largest), stable=True)
    count = int(k)
    if count > x.shape[axis]:
        raise ValueError(f"k = {count} of {x.shape[axis]}")
    return values.narrow(axis, 0, count), indices.narrow(axis, 0, count)


def _cum_sum(x: Tensor, axis: Tensor, exclusive: int = 0, reverse: int = 0) -> Tensor:
    dim = int(axis)
    x = x.flip(dim) if reverse else x
    total = x.cumsum(dim, dtype=x.dtype)
    total = total - x if exclusive else total
    return total.flip(dim) if reverse else total


OPS: dict[str, Op] = {
    "ArgMax": _arg(torch.argmax),
    "ArgMin": _arg(torch.argmin),
    "CumSum": _cum_sum,
    "ReduceL1": _reduce(lambda x, dims, keep: x.abs().sum(dims, keep)),
    "ReduceL2": _reduce(lambda x, dims, keep: x.square().sum(dims, keep).sqrt()),
    "ReduceLogSumExp": _reduce(torch.logsumexp),
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "ReduceMin": _reduce(torch.amin),
    "ReduceProd": _reduce(_prod),
    "ReduceSum": _reduce(lambda x, dims, keep: x.sum(dims, keep, dtype=x.dtype)),
    "ReduceSumSquare": _reduce(lambda x, dims, keep: x.square().sum(dims, keep, dtype=x.dtype)),
    "TopK": _top_k,
}
