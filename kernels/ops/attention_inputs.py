"""What both passes of attention do to their inputs: views of packed queries, keys and values, and the rotation.

Sources: RoFormer (arXiv 2104.09864) for R, in Llama's form that turns channel c with channel c + D / 2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vljepa_edge.kernels.launch import launch
from vljepa_edge.kernels.tiles import tiles
from vljepa_edge.kernels.triton_or_none import cdiv, tl, triton

LOG2E = math.log2(math.e)
"""The kernels' exponentials are powers of two: they take a scale that holds it."""


@triton.jit
def rotated(left, right, cos_table, sin_table, rows, half, inside, HALF: tl.constexpr):
    """R applied to a tile given as its two halves of channels: (l cos - r sin, r cos + l sin), in fp32.

    The halves have tables of their own: in V-JEPA 2 the two channels of a pair turn at different rates.
    """
    place = rows[:, None] * (2 * HALF) + half[None, :]
    cos_left = tl.load(cos_table + place, mask=inside, other=0.0).to(tl.float32)
    sin_left = tl.load(sin_table + place, mask=inside, other=0.0).to(tl.float32)
    cos_right = tl.load(cos_table + place + HALF, mask=inside, other=0.0).to(tl.float32)
    sin_right = tl.load(sin_table + place + HALF, mask=inside, other=0.0).to(tl.float32)
    left = left.to(tl.float32)
    right = right.to(tl.float32)
    return left * cos_left - right * sin_left, right * cos_right + left * sin_right


@triton.jit
def unrotated(left, right, cos_table, sin_table, rows, half, inside, HALF: tl.constexpr):
    """R transposed, the gradient of `rotated`: (l cos + r sin', r cos' - l sin), primed: the right half's."""
    place = rows[:, None] * (2 * HALF) + half[None, :]
    cos_left = tl.load(cos_table + place, mask=inside, other=0.0).to(tl.float32)
    sin_left = tl.load(sin_table + place, mask=inside, other=0.0).to(tl.float32)
    cos_right = tl.load(cos_table + place + HALF, mask=inside, other=0.0).to(tl.float32)
    sin_right = tl.load(sin_table + place + HALF, mask=inside, other=0.0).to(tl.float32)
    return left * cos_left + right * sin_right, right * cos_right - left * sin_left


@triton.jit
def rotate_kernel(
    X, Y, COS, SIN, x_batch, x_token, x_head, y_batch, y_token, y_head, tokens,
    HALF: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """y[b, n, h] = R_n x[b, n, h] for heads that lie side by side. Grid (blocks of tokens, heads, B)."""
    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    batch = tl.program_id(2).to(tl.int64)
    half = tl.arange(0, HALF)
    inside = rows[:, None] < tokens
    source = X + batch * x_batch + tl.program_id(1) * x_head + rows[:, None] * x_token + half[None, :]
    left = tl.load(source, mask=inside, other=0.0)
    right = tl.load(source + HALF, mask=inside, other=0.0)
    left, right = rotated(left, right, COS, SIN, rows, half, inside, HALF)
    target = Y + batch * y_batch + tl.program_id(1) * y_head + rows[:, None] * y_token + half[None, :]
    tl.store(target, left.to(Y.dtype.element_ty), mask=inside)
    tl.store(target + HALF, right.to(Y.dtype.element_ty), mask=inside)


def views(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (B, N, heads, D), keys and values (B, N, kv_heads, D) of (B, N, heads + 2 * kv_heads, D)."""
    kv_heads = (qkv.shape[2] - heads) // 2
    q, k, v = qkv.split((heads, kv_heads, kv_heads), dim=2)
    return q, k, v


def strides(x: Tensor) -> tuple[int, ...]:
    """Of batch, token and head."""
    return x.stride()[:3]


def side_by_side(x: Tensor) -> Tensor:
    """x with its channels side by side, as the kernels read them."""
    return x if x.stride(-1) == 1 else x.contiguous()


def tables(cos: Tensor | None, sin: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Both as the kernels read them, or neither."""
    return (None, None) if cos is None or sin is None else (cos.contiguous(), sin.contiguous())


def rotate_tokens(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x (B, N, heads, D) turned by its positions, contiguous."""
    batch, tokens, heads, head_dim = x.shape
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    tile = tiles("attention_rotate", x)
    launch(
        rotate_kernel, (cdiv(tokens, tile.block_m), heads, batch), x, y, cos, sin, *strides(x), *strides(y), tokens,
        HALF=head_dim // 2, **tile.options("BLOCK"),
    )  # fmt: skip
    return y


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """R of x (B, heads, N, D) by tables (N, D)."""
    left, right = x.split(x.shape[-1] // 2, dim=-1)
    return x * cos.to(x.dtype) + torch.cat((-right, left), dim=-1) * sin.to(x.dtype)
