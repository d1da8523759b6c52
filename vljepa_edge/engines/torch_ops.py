"""ONNX operations (opset 13 to 23) in PyTorch, as far as exporters use them for convolutional nets and transformers.

Each takes the node's inputs in order (None where one is left out) and its attributes by name, both as the ONNX
specification calls them, and returns one tensor or a tuple. An attribute that isn't in the signature is an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from onnx import TensorProto
from torch import Tensor

Op = Callable[..., Any]

_DTYPES: dict[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.UINT8: torch.uint8,
    TensorProto.INT8: torch.int8,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.BOOL: torch.bool,
}


def _ints(x: Tensor) -> list[int]:
    return [int(value) for value in x.flatten().tolist()]


def _axes(axes: Tensor | Sequence[int] | None) -> list[int] | None:
    """Axes are an attribute up to opset 12 or 17, an input after."""
    return _ints(axes) if isinstance(axes, Tensor) else None if axes is None else list(axes)


# --- one or two tensors, element by element ---


def _div(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _mod(a: Tensor, b: Tensor, fmod: int = 0) -> Tensor:
    return torch.fmod(a, b) if fmod else torch.remainder(a, b)


def _pow(a: Tensor, b: Tensor) -> Tensor:
    return torch.pow(a, b).to(a.dtype)


def _gelu(x: Tensor, approximate: str = "none") -> Tensor:
    return F.gelu(x, approximate=approximate)


def _clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return x if low is None and high is None else torch.clamp(x, low, high)


def _hard_sigmoid(x: Tensor, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    return torch.clamp(alpha * x + beta, 0, 1)


def _hard_swish(x: Tensor) -> Tensor:
    return x * _hard_sigmoid(x, 1 / 6, 0.5)


def _elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    return F.elu(x, alpha)


def _leaky_relu(x: Tensor, alpha: float = 0.01) -> Tensor:
    return F.leaky_relu(x, alpha)


def _cast(x: Tensor, to: int, saturate: int = 1, round_mode: str = "up") -> Tensor:
    return x.to(_DTYPES[to])


def _cast_like(x: Tensor, like: Tensor, saturate: int = 1, round_mode: str = "up") -> Tensor:
    return x.to(like.dtype)


def _fold(function: Callable[[Tensor, Tensor], Tensor]) -> Op:
    def op(first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = function(first, other)
        return first

    return op


# --- linear algebra ---


def _gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    product = alpha * ((a.T if transA else a) @ (b.T if transB else b))
    return product if c is None else product + beta * c


def _einsum(*inputs: Tensor, equation: str) -> Tensor:
    return torch.einsum(equation, *inputs)


# --- convolution and pooling ---


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
        raise ValueError(f"auto_pad {auto} is not legal")
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
    sizes = _ints(pads)
    chosen = [axis % x.dim() for axis in (_ints(axes) if axes is not None else range(x.dim()))]
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
    raise ValueError(f"mode {mode} is not legal")


# --- normalisation ---


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


# --- reductions ---


def _reduce(function: Callable[[Tensor, tuple[int, ...], bool], Tensor]) -> Op:
    def op(
        x: Tensor, axes: Tensor | Sequence[int] | None = None, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Tensor:
        dims = _axes(axes)
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


# --- shapes and places ---


def _reshape(x: Tensor, shape: Tensor, allowzero: int = 0) -> Tensor:
    sizes = _ints(shape)
    return x.reshape(sizes if allowzero else [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)])


def _flatten(x: Tensor, axis: int = 1) -> Tensor:
    rows = math.prod(x.shape[: axis % x.dim() if axis != x.dim() else axis])
    return x.reshape(rows, x.numel() // rows)


def _transpose(x: Tensor, perm: Sequence[int] | None = None) -> Tensor:
    return x.permute(tuple(perm) if perm else tuple(reversed(range(x.dim()))))


def _unsqueeze(x: Tensor, axes: Tensor) -> Tensor:
    rank = x.dim() + axes.numel()
    for axis in sorted(axis % rank for axis in _ints(axes)):
        x = x.unsqueeze(axis)
    return x


def _squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    dims = [i for i, size in enumerate(x.shape) if size == 1] if axes is None else [a % x.dim() for a in _ints(axes)]
    if any(x.shape[dim] != 1 for dim in dims):
        raise ValueError(f"axes {dims} of {list(x.shape)} are not all 1")
    return x.squeeze(tuple(dims))


def _expand(x: Tensor, shape: Tensor) -> Tensor:
    sizes = _ints(shape)
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
    first, last = _ints(starts), _ints(ends)
    dims = _ints(axes) if axes is not None else list(range(len(first)))
    strides = _ints(steps) if steps is not None else [1] * len(first)
    for start, end, dim, step in zip(first, last, dims, strides, strict=True):
        size = x.shape[dim]
        if step > 0:
            x = x[(slice(None),) * (dim % x.dim()) + (slice(start, end, step),)]
        else:  # ONNX clamps a negative end at -size-1, "before the first", which a Python slice writes as None
            places = range(size)[slice(start, None if end < -size else end, step)]
            x = x.index_select(dim, torch.tensor(list(places), dtype=torch.int64))
    return x


def _split(x: Tensor, split: Tensor | None = None, axis: int = 0, num_outputs: int = 1) -> tuple[Tensor, ...]:
    sizes = math.ceil(x.shape[axis] / num_outputs) if split is None else _ints(split)
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
    return x.repeat(_ints(repeats))


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
    return torch.zeros(_ints(shape)) if value is None else torch.full(_ints(shape), value.item(), dtype=value.dtype)


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


# --- 8-bit ---


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
    return value.to(_DTYPES[output_dtype]) if output_dtype else value


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
    dtype = zero.dtype if zero is not None else _DTYPES[output_dtype] if output_dtype else torch.uint8
    limits = torch.iinfo(dtype)
    value = torch.round(x / _along(x, scale, axis, block_size))
    if zero is not None:
        value = value + _along(x, zero, axis, block_size).to(x.dtype)
    return value.clamp(limits.min, limits.max).to(dtype)


OPS: dict[str, Op] = {
    "Abs": torch.abs,
    "Add": torch.add,
    "And": torch.logical_and,
    "ArgMax": _arg(torch.argmax),
    "ArgMin": _arg(torch.argmin),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Ceil": torch.ceil,
    "Clip": _clip,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Conv": _conv,
    "Cos": torch.cos,
    "CumSum": _cum_sum,
    "DequantizeLinear": _dequantize,
    "Div": _div,
    "Dropout": _dropout,
    "Einsum": _einsum,
    "Elu": _elu,
    "Equal": torch.eq,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": torch.floor,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "GroupNormalization": _group_norm,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Identity": _identity,
    "InstanceNormalization": _instance_norm,
    "IsNaN": torch.isnan,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": _leaky_relu,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Log": torch.log,
    "LogSoftmax": _log_softmax,
    "MatMul": torch.matmul,
    "Max": _fold(torch.maximum),
    "MaxPool": _max_pool,
    "Min": _fold(torch.minimum),
    "Mod": _mod,
    "Mul": torch.mul,
    "Neg": torch.neg,
    "NonZero": _non_zero,
    "Not": torch.logical_not,
    "OneHot": _one_hot,
    "Or": torch.logical_or,
    "Pad": _pad,
    "Pow": _pow,
    "QuantizeLinear": _quantize,
    "RMSNormalization": _rms_norm,
    "Range": _range,
    "Reciprocal": torch.reciprocal,
    "ReduceL1": _reduce(lambda x, dims, keep: x.abs().sum(dims, keep)),
    "ReduceL2": _reduce(lambda x, dims, keep: x.square().sum(dims, keep).sqrt()),
    "ReduceLogSumExp": _reduce(torch.logsumexp),
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "ReduceMin": _reduce(torch.amin),
    "ReduceProd": _reduce(_prod),
    "ReduceSum": _reduce(lambda x, dims, keep: x.sum(dims, keep, dtype=x.dtype)),
    "ReduceSumSquare": _reduce(lambda x, dims, keep: x.square().sum(dims, keep, dtype=x.dtype)),
    "Relu": torch.relu,
    "Reshape": _reshape,
    "Round": torch.round,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "Shape": _shape,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Size": _size,
    "Slice": _slice,
    "Softmax": _softmax,
    "Softplus": F.softplus,
    "Split": _split,
    "Sqrt": torch.sqrt,
    "Squeeze": _squeeze,
    "Sub": torch.sub,
    "Sum": _fold(torch.add),
    "Tanh": torch.tanh,
    "Tile": _tile,
    "TopK": _top_k,
    "Transpose": _transpose,
    "Trilu": _trilu,
    "Unsqueeze": _unsqueeze,
    "Where": torch.where,
    "Xor": torch.logical_xor,
}
