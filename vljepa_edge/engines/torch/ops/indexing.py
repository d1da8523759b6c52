"""Shapes, and where numbers lie: reshaping, slicing, gathering, scattering, and tensors made from nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vljepa_edge.engines.torch.ops.attributes import Op, ints


def _reshape(x: Tensor, shape: Tensor, allowzero: int = 0) -> Tensor:
    sizes = ints(shape)
    return x.reshape(sizes if allowzero else [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)])


def _flatten(x: Tensor, axis: int = 1) -> Tensor:
    rows = math.prod(x.shape[: axis % x.dim() if axis != x.dim() else axis])
    return x.reshape(rows, x.numel() // rows)


def _transpose(x: Tensor, perm: Sequence[int] | None = None) -> Tensor:
    return x.permute(tuple(perm) if perm else tuple(reversed(range(x.dim()))))


def _unsqueeze(x: Tensor, axes: Tensor) -> Tensor:
    rank = x.dim() + axes.numel()
    for axis in sorted(axis % rank for axis in ints(axes)):
        x = x.unsqueeze(axis)
    return x


def _squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    dims = [i for i, size in enumerate(x.shape) if size == 1] if axes is None else [a % x.dim() for a in ints(axes)]
    if any(x.shape[dim] != 1 for dim in dims):
        raise ValueError(f"axes {dims} of {list(x.shape)} are not all 1")
    return x.squeeze(tuple(dims))


def _expand(x: Tensor, shape: Tensor) -> Tensor:
    sizes = ints(shape)
    mine = [1] * (len(sizes) - x.dim()) + list(x.shape)
    theirs = [1] * (x.dim() - len(sizes)) + sizes
    return x.expand([a if b == 1 else b for a, b in zip(mine, theirs, strict=True)])


def _shape(x: Tensor, start: int = 0, end: int | None = None) -> Tensor:
    return torch.tensor(list(x.shape)[start:end], dtype=torch.int64)


def _size(x: Tensor) -> Tensor:
    return torch.tensor(x.numel())


def _concat(*inputs: Tensor, axis: int) -> Tensor:
    return torch.cat(inputs, axis)


def _slice(x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None) -> Tensor:
    first, last = ints(starts), ints(ends)
    dims = ints(axes) if axes is not None else list(range(len(first)))
    strides = ints(steps) if steps is not None else [1] * len(first)
    for start, end, dim, step in zip(first, last, dims, strides, strict=True):
        size = x.shape[dim]
        if step > 0:
            x = x[(slice(None),) * (dim % x.dim()) + (slice(start, end, step),)]
        else:  # ONNX clamps a negative end at -size-1, "before the first", which a Python slice writes as None
            places = range(size)[slice(start, None if end < -size else end, step)]
            x = x.index_select(dim, torch.tensor(list(places), dtype=torch.int64))
    return x


def _split(x: Tensor, split: Tensor | None = None, axis: int = 0, num_outputs: int = 1) -> tuple[Tensor, ...]:
    sizes = math.ceil(x.shape[axis] / num_outputs) if split is None else ints(split)
    return tuple(torch.functional.split(x, sizes, axis))


def _wrap(indices: Tensor, size: int) -> Tensor:
    indices = indices.to(torch.int64)
    if indices.numel() and not -size <= int(indices.min()) <= int(indices.max()) < size:
        raise ValueError(f"an index of {int(indices.min())} to {int(indices.max())} is outside an axis of {size}")
    return torch.where(indices < 0, indices + size, indices)


def _gather(x: Tensor, indices: Tensor, axis: int = 0) -> Tensor:
    axis %= x.dim()
    picked = x.index_select(axis, _wrap(indices, x.shape[axis]).flatten())
    return picked.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


def _gather_elements(x: Tensor, indices: Tensor, axis: int = 0) -> Tensor:
    return x.gather(axis, _wrap(indices, x.shape[axis]))


def _places(x: Tensor, indices: Tensor, batch_dims: int = 0) -> tuple[Tensor, ...]:
    """The last axis of `indices`, as an index of x for each of the axes that it addresses."""
    rank = indices.dim() - 1
    batch = (
        torch.arange(indices.shape[i]).reshape([-1 if j == i else 1 for j in range(rank)]) for i in range(batch_dims)
    )
    return (*batch, *(_wrap(column, x.shape[batch_dims + i]) for i, column in enumerate(indices.unbind(-1))))


def _gather_nd(x: Tensor, indices: Tensor, batch_dims: int = 0) -> Tensor:
    return x[_places(x, indices, batch_dims)]


def _scatter_nd(x: Tensor, indices: Tensor, updates: Tensor, reduction: str = "none") -> Tensor:
    if reduction not in ("none", "add"):
        raise ValueError(f"reduction {reduction} is not supported")
    return x.clone().index_put_(_places(x, indices), updates, accumulate=reduction == "add")


def _scatter_elements(x: Tensor, indices: Tensor, updates: Tensor, axis: int = 0, reduction: str = "none") -> Tensor:
    indices = _wrap(indices, x.shape[axis])
    if reduction == "none":
        return x.scatter(axis, indices, updates)
    if reduction == "add":
        return x.scatter_add(axis, indices, updates)
    raise ValueError(f"reduction {reduction} is not supported")


def _tile(x: Tensor, repeats: Tensor) -> Tensor:
    return x.repeat(ints(repeats))


def _trilu(x: Tensor, k: Tensor | None = None, upper: int = 1) -> Tensor:
    diagonal = 0 if k is None else int(k)
    return torch.triu(x, diagonal) if upper else torch.tril(x, diagonal)


def _constant(**attributes: Any) -> Tensor:
    ((name, value),) = attributes.items()
    if name == "value":
        return value  # type: ignore[no-any-return]
    if name in ("value_int", "value_ints"):
        return torch.tensor(value, dtype=torch.int64)
    if name in ("value_float", "value_floats"):
        return torch.tensor(value, dtype=torch.float32)
    raise ValueError(f"{name} is not supported")


def _constant_of_shape(shape: Tensor, value: Tensor | None = None) -> Tensor:
    return torch.zeros(ints(shape)) if value is None else torch.full(ints(shape), value.item(), dtype=value.dtype)


def _range(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    count = max(0, math.ceil((limit.item() - start.item()) / delta.item()))
    return start + delta * torch.arange(count, dtype=start.dtype)


def _one_hot(indices: Tensor, depth: Tensor, values: Tensor, axis: int = -1) -> Tensor:
    size = int(depth)
    indices = indices.to(torch.int64)
    indices = torch.where(indices < 0, indices + size, indices).unsqueeze(axis)
    rank = indices.dim()
    ladder = torch.arange(size).reshape([size if i == axis % rank else 1 for i in range(rank)])
    return torch.where(indices == ladder, values[1], values[0])


def _non_zero(x: Tensor) -> Tensor:
    return torch.nonzero(x).T


def _identity(x: Tensor) -> Tensor:
    return x


def _dropout(x: Tensor, ratio: Tensor | None = None, training_mode: Tensor | None = None, seed: int = 0) -> Tensor:
    if training_mode is not None and bool(training_mode):
        raise ValueError("training mode is not supported")
    return x


OPS: dict[str, Op] = {
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Dropout": _dropout,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Identity": _identity,
    "NonZero": _non_zero,
    "OneHot": _one_hot,
    "Range": _range,
    "Reshape": _reshape,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Trilu": _trilu,
    "Unsqueeze": _unsqueeze,
}
