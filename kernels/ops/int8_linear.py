"""Linear layer with 8-bit weights and activations (W8A8), integer products, and optionally SwiGLU after it.

    acc[m, n] = sum_k xq[m, k] wq[n, k]                              (int32, exact up to K = 133,000)
    y[m, n]   = acc[m, n] s_x[m] s_w[n] + bias[n]

Weights are symmetric int8 with a scale for each output channel, activations symmetric int8 with a scale for each token
(dynamic: its largest magnitude / 127) or one static scale: SmoothQuant's O1 to O3 schemes (arXiv 2211.10438, section
4). With `swiglu` the weight holds gate and up, one above the other, and y = silu(gate) up: the epilogue has both in
registers, so the 2F-wide product is never written.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vljepa_edge.errors import InputError
from vljepa_edge.kernels.launch import launch, takes_kernel
from vljepa_edge.kernels.ops import swiglu as gating
from vljepa_edge.kernels.tiles import key, tiles
from vljepa_edge.kernels.triton_or_none import cdiv, next_power_of_2, tl, triton

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
MAX_K = 16384
"""A token is held in registers while its scale is found."""
EXACT_K = 1024
"""Channels whose int8 products sum exactly in fp32 (1024 * 127^2 < 2^24), and in TF32's fp32 accumulator too."""


@triton.jit
def quantise_kernel(X, XQ, SCALE, x_row, width, STATIC: tl.constexpr, WIDTH: tl.constexpr):
    """xq = round(x / s), s = max |x| / 127 of the token, stored in SCALE; STATIC: read from there. Grid (M)."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, WIDTH)
    x = tl.load(X + row * x_row + column, mask=column < width, other=0.0).to(tl.float32)
    if STATIC:
        scale = tl.load(SCALE)
    else:
        scale = tl.div_rn(tl.maximum(tl.max(tl.abs(x), 0), 1e-12), 127.0)
        tl.store(SCALE + row, scale)
    q = tl.div_rn(x, scale)
    # Half away from zero: no rounding intrinsic is common to every target and the interpreter.
    q = tl.where(q >= 0.0, tl.floor(q + 0.5), -tl.floor(0.5 - q))
    q = tl.minimum(tl.maximum(q, -127.0), 127.0)
    tl.store(XQ + row * width + column, q.to(tl.int8), mask=column < width)


@triton.jit
def linear_kernel(
    XQ, WQ, X_SCALE, W_SCALE, BIAS, Y, rows, columns, width,
    STATIC: tl.constexpr, SWIGLU: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """One tile of y; `columns` counts y's. Grid (tiles), GROUP row blocks together so that weights stay in L2."""
    down = tl.cdiv(rows, BLOCK_M)
    across = tl.cdiv(columns, BLOCK_N)
    first = tl.program_id(0) // (GROUP * across) * GROUP
    members = tl.minimum(down - first, GROUP)
    inner = tl.program_id(0) % (GROUP * across)
    row = (first + inner % members) * BLOCK_M + tl.arange(0, BLOCK_M)
    column = inner // members * BLOCK_N + tl.arange(0, BLOCK_N)
    within = tl.arange(0, BLOCK_K)
    # Rows and columns beyond the end read the last one again, so that no load in the loop has a mask.
    x_at = XQ + tl.minimum(row, rows - 1).to(tl.int64)[:, None] * width + within[None, :]
    w_at = WQ + tl.minimum(column, columns - 1).to(tl.int64)[:, None] * width + within[None, :]
    up_at = w_at + tl.cast(columns, tl.int64) * width  # the JIT makes 1 a constant, which has no `to`
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.int32)
    up = tl.zeros((BLOCK_M, BLOCK_N), tl.int32)
    whole = width // BLOCK_K * BLOCK_K
    for start in range(0, whole, BLOCK_K):
        x = tl.load(x_at + start)
        acc = tl.dot(x, tl.trans(tl.load(w_at + start)), acc, out_dtype=tl.int32)
        if SWIGLU:
            up = tl.dot(x, tl.trans(tl.load(up_at + start)), up, out_dtype=tl.int32)
    if whole < width:
        inside = (whole + within)[None, :] < width
        x = tl.load(x_at + whole, mask=inside, other=0)
        acc = tl.dot(x, tl.trans(tl.load(w_at + whole, mask=inside, other=0)), acc, out_dtype=tl.int32)
        if SWIGLU:
            up = tl.dot(x, tl.trans(tl.load(up_at + whole, mask=inside, other=0)), up, out_dtype=tl.int32)
    token_scale = tl.load(X_SCALE + row * (1 - STATIC), mask=row < rows, other=0.0)[:, None]
    seen = column < columns
    y = acc.to(tl.float32) * token_scale * tl.load(W_SCALE + column, mask=seen, other=0.0)[None, :]
    if BIAS is not None:
        y += tl.load(BIAS + column, mask=seen, other=0.0).to(tl.float32)[None, :]
    if SWIGLU:
        raised = up.to(tl.float32) * token_scale * tl.load(W_SCALE + columns + column, mask=seen, other=0.0)[None, :]
        if BIAS is not None:
            raised += tl.load(BIAS + columns + column, mask=seen, other=0.0).to(tl.float32)[None, :]
        y = y * tl.sigmoid(y) * raised
    place = Y + row.to(tl.int64)[:, None] * columns + column[None, :]
    tl.store(place, y.to(Y.dtype.element_ty), mask=(row < rows)[:, None] & seen[None, :])


def int8_linear(
    x: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor | None = None, *,
    activation_scale: Tensor | None = None, swiglu: bool = False,
) -> Tensor:  # fmt: skip
    """x (..., K) in fp16, bf16 or fp32; weight int8 (N, K), weight_scale fp32 (N,), bias (N,) -> (..., N) in x's type.

    activation_scale: one fp32 number for all tokens, shape (1,); without it each token has its own. swiglu: the
    weight's upper half gates its lower half, and y is (..., N / 2). For inference: rounding has no gradient. Raises
    InputError for shapes or types that don't fit, and for an x that wants one.
    """
    _check(x, weight, weight_scale, bias, activation_scale, swiglu)
    if takes_kernel(x, weight, weight_scale, bias, activation_scale):
        y: Tensor = _linear(x, weight, weight_scale, bias, activation_scale, swiglu)
        return y
    return torch_form(x, weight, weight_scale, bias, activation_scale, swiglu)


def quantise_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """weight (N, K) -> symmetric int8 (N, K) and the scale of each row, fp32 (N,)."""
    scale = _scale(weight.float().abs().amax(1))
    return _round_away(weight.float() / scale[:, None]), scale


def torch_form(
    x: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor | None, activation_scale: Tensor | None, swiglu: bool
) -> Tensor:
    """The same in PyTorch. Products of int8 are summed exactly by fp32 products of at most EXACT_K channels."""
    flat = x.reshape(-1, x.shape[-1]).float()
    scale = activation_scale
    if scale is None:
        scale = _scale(flat.abs().amax(1, keepdim=True))
    quantised = _round_away(flat / scale).float()
    acc = torch.zeros((flat.shape[0], weight.shape[0]), dtype=torch.int32, device=x.device)
    for start in range(0, x.shape[-1], EXACT_K):
        part = slice(start, start + EXACT_K)
        acc += (quantised[:, part] @ weight[:, part].float().T).int()
    y = acc.float() * scale * weight_scale
    y = y if bias is None else y + bias.float()
    y = gating.torch_form(y) if swiglu else y
    return y.to(x.dtype).reshape(*x.shape[:-1], -1)


def reference(
    x: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor | None = None,
    activation_scale: Tensor | None = None, swiglu: bool = False,
) -> Tensor:  # fmt: skip
    """The same in float64 from the definition, its activations rounded as the quantiser must."""
    rows = x.reshape(-1, x.shape[-1]).float()
    scale = _scale(rows.abs().amax(1, keepdim=True)) if activation_scale is None else activation_scale
    levels = (rows / scale).double()
    quantised = (levels.abs() + 0.5).floor().copysign(levels).clamp(-127, 127)
    y = torch.einsum("mk,nk->mn", quantised, weight.double()) * scale.double() * weight_scale.double()
    y = y if bias is None else y + bias.double()
    if swiglu:
        y = gating.reference(y)
    return y.reshape(*x.shape[:-1], -1)


def _scale(largest: Tensor) -> Tensor:
    """largest / 127, rounded as in the kernel: by a plain number PyTorch doesn't divide on a GPU, it multiplies by
    1 / 127, and one scale in 22 is another."""
    return largest.clamp(min=1e-12) / largest.new_full((), 127.0)


def _round_away(x: Tensor) -> Tensor:
    """To int8, halves away from zero, never -128."""
    return (x.abs() + 0.5).floor().copysign(x).clamp(-127, 127).to(torch.int8)


def _check(
    x: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor | None, activation_scale: Tensor | None, swiglu: bool
) -> None:
    if weight.dtype != torch.int8 or weight.ndim != 2 or (swiglu and len(weight) % 2):
        even = ", N even" if swiglu else ""
        raise InputError(f"weight must be int8 (N, K){even}, not {str(weight.dtype)[6:]} {tuple(weight.shape)}")
    if x.dtype not in DTYPES or x.shape[-1:] != weight.shape[1:]:
        kinds = f"fp16, bf16 or fp32 (..., {weight.shape[1]})"
        raise InputError(f"x must be {kinds}, not {str(x.dtype)[6:]} {tuple(x.shape)}")
    if torch.is_grad_enabled() and x.requires_grad:
        raise InputError("int8_linear is for inference; call it under torch.inference_mode()")
    if x.shape[-1] > MAX_K:
        raise InputError(f"x must have at most {MAX_K} channels, got {x.shape[-1]}")
    for name, given, shape in (
        ("weight_scale", weight_scale, (len(weight),)),
        ("activation_scale", activation_scale, (1,)),
    ):
        if given is not None and (given.dtype != torch.float32 or given.shape != shape):
            raise InputError(f"{name} must be fp32 {shape}, not {str(given.dtype)[6:]} {tuple(given.shape)}")
    if bias is not None and bias.shape != (len(weight),):
        raise InputError(f"bias must be {(len(weight),)}, not {tuple(bias.shape)}")


def launch_int8_linear(
    x: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor | None, activation_scale: Tensor | None, swiglu: bool
) -> Tensor:
    width = x.shape[-1]
    columns = weight.shape[0] // (2 if swiglu else 1)
    flat = x.reshape(-1, width)
    flat = flat if flat.stride(-1) == 1 else flat.contiguous()
    rows, static = flat.shape[0], activation_scale is not None
    quantised = torch.empty((rows, width), dtype=torch.int8, device=x.device)
    scale = torch.empty((rows,), dtype=torch.float32, device=x.device) if activation_scale is None else activation_scale
    tile = tiles(key("int8_quantise", next_power_of_2(width)), x)
    launch(
        quantise_kernel, (rows,), flat, quantised, scale, flat.stride(0), width, STATIC=static,
        WIDTH=next_power_of_2(width), **tile.options(),
    )  # fmt: skip
    y = torch.empty((*x.shape[:-1], columns), dtype=x.dtype, device=x.device)
    tile = tiles("int8_linear_swiglu" if swiglu else "int8_linear", x)
    launch(
        linear_kernel, (cdiv(rows, tile.block_m) * cdiv(columns, tile.block_n),),
        quantised, weight.contiguous(), scale, weight_scale, bias, y, rows, columns, width,
        STATIC=static, SWIGLU=swiglu, GROUP=8, **tile.options("BLOCK_M", "BLOCK_N", "BLOCK_K"),
    )  # fmt: skip
    return y


_linear = torch.library.custom_op("vljepa::int8_linear", launch_int8_linear, mutates_args=())


@_linear.register_fake
def _(
    x: Tensor, weight: Tensor, weight_scale: Tensor, bias: Tensor | None, activation_scale: Tensor | None, swiglu: bool
) -> Tensor:
    columns = weight.shape[0] // (2 if swiglu else 1)
    return torch.empty((*x.shape[:-1], columns), dtype=x.dtype, device=x.device)
