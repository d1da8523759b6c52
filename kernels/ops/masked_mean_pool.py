"""Mean over the tokens that are not padding, and the predictor's complete tail around it.

    mean[b]      = sum_{n < L_b} x[b, n] / L_b            (zero where L_b = 0)
    embedding[b] = unit(W mean_n(weight * x[b, n] / rms(x[b, n])) + bias)

The tail is the predictor's last steps (section 3.1 of the paper): final RMSNorm, mean over the tokens that are not
[PAD], projection to the shared space, unit length. Norm's weight doesn't depend on the token, so it is applied to the
mean, and the normalised tokens are never written. Sums run in one order: no atomics, the same bits every time.

At 2560 tokens of 2048 channels in fp16 the tail reads 10.5 MB once; norm, mean and projection apart read it, write
the normalised tokens and read them again, three times that. Going further and pooling inside the last layer's `down`
projection would save its write and this read, another 21 MB, but every column block of that product would need the
rows' norms, which are known only when all of them are done.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vljepa_edge.errors import InputError
from vljepa_edge.kernels.launch import launch, takes_kernel
from vljepa_edge.kernels.ops import rms_norm
from vljepa_edge.kernels.tiles import key, tiles
from vljepa_edge.kernels.triton_or_none import cdiv, next_power_of_2, tl, triton

MAX_WIDTH = 8192
"""A row is held in registers."""
SPAN = 64
"""Tokens whose sum one program makes."""


@triton.jit
def sum_kernel(
    X, LENGTHS, PARTIAL, x_batch, x_token, tokens, width, eps,
    NORM: tl.constexpr, SPAN: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """partial[b, s] = the sum of SPAN tokens, each divided by its rms with NORM. Grid (spans, B)."""
    batch = tl.program_id(1).to(tl.int64)
    column = tl.arange(0, WIDTH)
    length = tokens
    if LENGTHS is not None:
        length = tl.minimum(tl.load(LENGTHS + batch), tokens)
    total = tl.zeros((WIDTH,), tl.float32)
    first = tl.program_id(0) * SPAN
    for start in range(first, tl.minimum(first + SPAN, length), ROWS):
        row = start + tl.arange(0, ROWS)
        inside = (row < length)[:, None] & (column < width)[None, :]
        x = tl.load(X + batch * x_batch + row[:, None] * x_token + column[None, :], mask=inside, other=0.0)
        x = x.to(tl.float32)
        if NORM:
            x *= (1.0 / tl.sqrt(tl.sum(x * x, 1) / width + eps))[:, None]
        total += tl.sum(x, 0)
    place = (batch * tl.num_programs(0) + tl.program_id(0)) * width + column
    tl.store(PARTIAL + place, total, mask=column < width)


@triton.jit
def mean_kernel(PARTIAL, LENGTHS, OUT, tokens, spans, width, BLOCK: tl.constexpr):
    """mean[b] = sum of the partial sums / length. Grid (blocks of width, B)."""
    batch = tl.program_id(1).to(tl.int64)
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    length = tokens
    if LENGTHS is not None:
        length = tl.minimum(tl.load(LENGTHS + batch), tokens)
    total = tl.zeros((BLOCK,), tl.float32)
    for span in range(spans):
        total += tl.load(PARTIAL + (batch * spans + span) * width + column, mask=column < width, other=0.0)
    mean = total / tl.maximum(length, 1).to(tl.float32)
    tl.store(OUT + batch * width + column, mean.to(OUT.dtype.element_ty), mask=column < width)


@triton.jit
def project_kernel(
    PARTIAL, LENGTHS, NORM_WEIGHT, WEIGHT, BIAS, OUT, weight_row, tokens, spans, width, channels,
    BLOCK_E: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """out[b, e] = sum_c W[e, c] norm_weight[c] mean[b, c] + bias[e], in fp32. Grid (blocks of channels, B)."""
    batch = tl.program_id(1).to(tl.int64)
    channel = tl.program_id(0) * BLOCK_E + tl.arange(0, BLOCK_E)
    length = tokens
    if LENGTHS is not None:
        length = tl.minimum(tl.load(LENGTHS + batch), tokens)
    count = tl.maximum(length, 1).to(tl.float32)
    total = tl.zeros((BLOCK_E,), tl.float32)
    for start in range(0, width, BLOCK):
        column = start + tl.arange(0, BLOCK)
        inside = column < width
        mean = tl.zeros((BLOCK,), tl.float32)
        for span in range(spans):
            mean += tl.load(PARTIAL + (batch * spans + span) * width + column, mask=inside, other=0.0)
        mean *= tl.load(NORM_WEIGHT + column, mask=inside, other=0.0).to(tl.float32) / count
        weight_at = WEIGHT + channel.to(tl.int64)[:, None] * weight_row + column[None, :]
        weight = tl.load(weight_at, mask=(channel < channels)[:, None] & inside[None, :], other=0.0).to(tl.float32)
        total += tl.sum(weight * mean[None, :], 1)
    if BIAS is not None:
        total += tl.load(BIAS + channel, mask=channel < channels, other=0.0).to(tl.float32)
    tl.store(OUT + batch * channels + channel, total, mask=channel < channels)


@triton.jit
def unit_kernel(X, channels, CHANNELS: tl.constexpr):
    """x / max(|x|, 1e-12), in place, one row a program. Grid (B)."""
    channel = tl.arange(0, CHANNELS)
    place = X + tl.program_id(0).to(tl.int64) * channels + channel
    x = tl.load(place, mask=channel < channels, other=0.0)
    tl.store(place, x / tl.maximum(tl.sqrt(tl.sum(x * x, 0)), 1e-12), mask=channel < channels)


def masked_mean_pool(tokens: Tensor, lengths: Tensor | None = None, *, mask: Tensor | None = None) -> Tensor:
    """tokens (B, N, width), lengths (B,) int32 -> (B, width), the mean of the first lengths[b]; of all without them.

    mask (B, N), 1 where there is a token, stands in for lengths in graphs and where padding isn't at the end: then the
    PyTorch form is taken, and a row without tokens is NaN. Raises InputError for shapes that don't fit.
    """
    _check(tokens, lengths, mask)
    if mask is None and _kernel_fits(tokens, lengths):
        mean: Tensor = _mean(tokens, lengths)
        return mean
    return torch_form(tokens, lengths, mask)


def embedding_tail(
    tokens: Tensor, norm_weight: Tensor, eps: float, weight: Tensor, bias: Tensor | None, lengths: Tensor | None = None
) -> Tensor:
    """tokens (B, N, width), weight (E, width), bias (E,) -> unit rows (B, E) fp32: the tail in the module's docstring.

    For inference: gradients go through the PyTorch form. Raises InputError for shapes that don't fit.
    """
    _check(tokens, lengths, None)
    width = tokens.shape[-1]
    if norm_weight.shape != (width,) or weight.ndim != 2 or weight.shape[1] != width:
        found = f"{tuple(norm_weight.shape)} and {tuple(weight.shape)}"
        raise InputError(f"norm_weight and weight must be ({width},) and (E, {width}), not {found}")
    given = (tokens, norm_weight, weight, *(() if bias is None else (bias,)))
    learning = torch.is_grad_enabled() and any(t.requires_grad for t in given)
    if _kernel_fits(tokens, lengths) and takes_kernel(*given) and not learning:
        embedding: Tensor = _tail(tokens, norm_weight, eps, weight, bias, lengths)
        return embedding
    mean = torch_form(rms_norm.torch_form(tokens, norm_weight, eps), lengths, None)
    return F.normalize(F.linear(mean.to(weight.dtype), weight, bias).float(), dim=-1)


def torch_form(tokens: Tensor, lengths: Tensor | None, mask: Tensor | None) -> Tensor:
    """The mean in PyTorch; with a mask it is what every exported graph has."""
    if mask is not None:
        weight = mask[:, :, None]
        pooled: Tensor = (tokens * weight).sum(1) / weight.sum(1)
        return pooled
    if lengths is None:
        return tokens.mean(1)
    beyond = torch.arange(tokens.shape[1], device=tokens.device) >= lengths[:, None]
    total = tokens.masked_fill(beyond[:, :, None], 0).sum(1, dtype=_sum_type(tokens))
    return (total / lengths.clamp(min=1)[:, None]).to(tokens.dtype)


def reference(tokens: Tensor, lengths: Tensor | None) -> Tensor:
    """The mean in float64, sequence by sequence."""
    counts = [tokens.shape[1]] * len(tokens) if lengths is None else lengths.tolist()
    rows = [x[:n].double().sum(0) / max(n, 1) for x, n in zip(tokens, counts, strict=True)]
    return torch.stack(rows)


def tail_reference(
    tokens: Tensor, norm_weight: Tensor, eps: float, weight: Tensor, bias: Tensor | None, lengths: Tensor | None
) -> Tensor:
    """The tail in float64, step by step."""
    normed = tokens.double() / (tokens.double().square().mean(-1, keepdim=True) + eps).sqrt() * norm_weight.double()
    projected = reference(normed, lengths) @ weight.double().T
    projected = projected if bias is None else projected + bias.double()
    unit: Tensor = projected / torch.linalg.vector_norm(projected, dim=-1, keepdim=True)
    return unit


def _sum_type(tokens: Tensor) -> torch.dtype:
    return torch.float32 if tokens.dtype in (torch.float16, torch.bfloat16) else tokens.dtype


def _kernel_fits(tokens: Tensor, lengths: Tensor | None) -> bool:
    return takes_kernel(tokens, lengths) and tokens.shape[-1] <= MAX_WIDTH and tokens.dtype != torch.float64


def _check(tokens: Tensor, lengths: Tensor | None, mask: Tensor | None) -> None:
    if torch.onnx.is_in_onnx_export():
        return
    if tokens.ndim != 3:
        raise InputError(f"tokens must be (B, N, width), not {tuple(tokens.shape)}")
    if lengths is not None and (lengths.shape != tokens.shape[:1] or lengths.dtype != torch.int32):
        raise InputError(f"lengths must be int32 ({len(tokens)},), not {str(lengths.dtype)[6:]} {tuple(lengths.shape)}")
    if mask is not None and mask.shape != tokens.shape[:2]:
        raise InputError(f"mask must be {tuple(tokens.shape[:2])}, not {tuple(mask.shape)}")


def launch_mean_pool(tokens: Tensor, lengths: Tensor | None) -> Tensor:
    batch, _, width = tokens.shape
    partial = _partial_sums(tokens, lengths, 0.0, norm=False)
    out = torch.empty((batch, width), dtype=tokens.dtype, device=tokens.device)
    tile = tiles("pool_mean", tokens)
    launch(
        mean_kernel, (cdiv(width, tile.block_m), batch), partial, lengths, out, tokens.shape[1], partial.shape[1],
        width, **tile.options("BLOCK"),
    )  # fmt: skip
    return out


def spread_gradient(dmean: Tensor, lengths: Tensor | None, tokens: int) -> Tensor:
    """The gradient of the tokens: dmean / length before the length, zero beyond. A broadcast that PyTorch does well."""
    if lengths is None:
        return (dmean / tokens)[:, None].expand(-1, tokens, -1).contiguous()
    inside = torch.arange(tokens, device=dmean.device) < lengths[:, None]
    return (dmean / lengths.clamp(min=1)[:, None])[:, None] * inside[:, :, None]


def launch_tail(
    tokens: Tensor, norm_weight: Tensor, eps: float, weight: Tensor, bias: Tensor | None, lengths: Tensor | None
) -> Tensor:
    batch, length, width = tokens.shape
    channels = weight.shape[0]
    partial = _partial_sums(tokens, lengths, eps, norm=True)
    out = torch.empty((batch, channels), dtype=torch.float32, device=tokens.device)
    weight = weight if weight.stride(-1) == 1 else weight.contiguous()
    tile = tiles("pool_project", tokens)
    launch(
        project_kernel, (cdiv(channels, tile.block_m), batch), partial, lengths, norm_weight, weight, bias, out,
        weight.stride(0), length, partial.shape[1], width, channels, **tile.options("BLOCK_E", "BLOCK"),
    )  # fmt: skip
    tile = tiles("pool_unit", tokens)
    launch(unit_kernel, (batch,), out, channels, CHANNELS=next_power_of_2(channels), **tile.options())
    return out


_mean = torch.library.custom_op("vljepa::masked_mean_pool", launch_mean_pool, mutates_args=())
_spread = torch.library.custom_op("vljepa::masked_mean_pool_backward", spread_gradient, mutates_args=())
_tail = torch.library.custom_op("vljepa::embedding_tail", launch_tail, mutates_args=())


@_mean.register_fake
def _(tokens: Tensor, lengths: Tensor | None) -> Tensor:
    return torch.empty((tokens.shape[0], tokens.shape[2]), dtype=tokens.dtype, device=tokens.device)


@_spread.register_fake
def _(dmean: Tensor, lengths: Tensor | None, tokens: int) -> Tensor:
    return torch.empty((dmean.shape[0], tokens, dmean.shape[1]), dtype=dmean.dtype, device=dmean.device)


@_tail.register_fake
def _(
    tokens: Tensor, norm_weight: Tensor, eps: float, weight: Tensor, bias: Tensor | None, lengths: Tensor | None
) -> Tensor:
    return torch.empty((tokens.shape[0], weight.shape[0]), dtype=torch.float32, device=tokens.device)


def _partial_sums(tokens: Tensor, lengths: Tensor | None, eps: float, *, norm: bool) -> Tensor:
    """(B, spans, width) fp32."""
    batch, length, width = tokens.shape
    tokens = tokens if tokens.stride(-1) == 1 else tokens.contiguous()
    partial = torch.empty((batch, cdiv(length, SPAN), width), dtype=torch.float32, device=tokens.device)
    tile = tiles(key("pool_sum", next_power_of_2(width)), tokens)
    launch(
        sum_kernel, (partial.shape[1], batch), tokens, lengths, partial, tokens.stride(0), tokens.stride(1), length,
        width, eps, NORM=norm, SPAN=SPAN, WIDTH=next_power_of_2(width), **tile.options("ROWS"),
    )  # fmt: skip
    return partial


def _save(ctx: object, inputs: tuple[Tensor, Tensor | None], output: Tensor) -> None:
    ctx.lengths, ctx.tokens = inputs[1], inputs[0].shape[1]  # type: ignore[attr-defined]


def _backward(ctx: object, dmean: Tensor) -> tuple[Tensor, None]:
    return _spread(dmean, ctx.lengths, ctx.tokens), None  # type: ignore[attr-defined]


_mean.register_autograd(_backward, setup_context=_save)
