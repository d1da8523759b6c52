"""Attention without a causal mask: grouped queries, RoPE inside, padding as a length for each sequence.

The predictor's attention (section 3.1 of the paper: Llama layers whose causal mask is taken off, so that vision and
query see each other) and, with one query head for each key head, V-JEPA 2's. Queries, keys and values come packed, as
one projection makes them, and are read with strides: nothing is transposed, repeated or copied.

With qkv of shape (B, N, heads + 2 * kv_heads, D), head h reading key head h // (heads / kv_heads), R_n the rotation of
position n and L_b the length of sequence b:

    s[b, h, i, j] = scale * <R_i q[b, i, h], R_j k[b, j, h']>       for j < L_b
    out[b, i, h]  = sum_j softmax_j(s) v[b, j, h']                  for i < L_b, zero beyond

Sources: FlashAttention-2 (arXiv 2307.08691) for the order of the loops and the backward pass through the saved
log-sum-exp; RoFormer (arXiv 2104.09864) for R, in Llama's form that turns channel c with channel c + D / 2.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vljepa_edge.errors import InputError, KernelError
from vljepa_edge.kernels.launch import launch, takes_kernel
from vljepa_edge.kernels.tiles import bits, key, tiles
from vljepa_edge.kernels.triton_or_none import cdiv, tl, triton

HEAD_DIMS = (64, 128)
DTYPES = (torch.float16, torch.bfloat16)
LOG2E = math.log2(math.e)
MASKED = -1e4
"""Added to the score of a key that must not be seen. exp() of it is 0 in every float type; finite in fp16."""


@triton.jit
def _rotated(left, right, cos_table, sin_table, rows, half, inside, HALF: tl.constexpr):
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
def _unrotated(left, right, cos_table, sin_table, rows, half, inside, HALF: tl.constexpr):
    """R transposed, the gradient of `_rotated`: (l cos + r sin', r cos' - l sin), primed: the right half's."""
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
    left, right = _rotated(left, right, COS, SIN, rows, half, inside, HALF)
    target = Y + batch * y_batch + tl.program_id(1) * y_head + rows[:, None] * y_token + half[None, :]
    tl.store(target, left.to(Y.dtype.element_ty), mask=inside)
    tl.store(target + HALF, right.to(Y.dtype.element_ty), mask=inside)


@triton.jit
def _forward_tile(
    q_left, q_right, k, v, k_token, v_token, columns, half, channels, length, scale, acc, highest, total,
    HALF: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """One block of keys: the online softmax of arXiv 2307.08691, section 3.1, in base 2: scale has log2(e)."""
    k_at = k + columns[:, None] * k_token + half[None, :]
    v_at = v + columns[:, None] * v_token + channels[None, :]
    if MASKED:
        inside = columns[:, None] < length
        k_left = tl.load(k_at, mask=inside, other=0.0)
        k_right = tl.load(k_at + HALF, mask=inside, other=0.0)
        values = tl.load(v_at, mask=inside, other=0.0)
    else:
        k_left = tl.load(k_at)
        k_right = tl.load(k_at + HALF)
        values = tl.load(v_at)
    scores = tl.dot(q_left, tl.trans(k_left), input_precision="tf32x3")
    scores = tl.dot(q_right, tl.trans(k_right), scores, input_precision="tf32x3")
    if MASKED:
        scores = tl.where(columns[None, :] < length, scores, float("-inf"))
    risen = tl.maximum(highest, tl.max(scores, 1) * scale)
    weights = tl.exp2(scores * scale - risen[:, None])
    shrink = tl.exp2(highest - risen)
    total = total * shrink + tl.sum(weights, 1)
    acc = tl.dot(weights.to(values.dtype), values, acc * shrink[:, None], input_precision="tf32x3")
    return acc, risen, total


@triton.jit
def forward_kernel(
    Q, K, V, OUT, LSE, COS, SIN, LENGTHS,
    q_batch, q_token, q_head, k_batch, k_token, k_head, v_batch, v_token, v_head, out_batch, out_token, out_head,
    tokens, scale,
    GROUP: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One block of queries of one head against all keys. Grid (blocks of queries, heads, B); `scale` holds log2(e).

    Queries are rotated here, keys come rotated: every block of queries of every head of a group would rotate the same
    keys again, 40 times at 640 tokens and 4 heads a group, in a loop that is bound by its instructions.

    Keys in whole blocks are read without a mask, and only the last, ragged block has one: masks for every element are
    what makes this loop bound by instructions. LSE (B, heads, tokens) is natural, and infinite beyond the length, so
    that the backward pass gives those rows no weight.
    """
    HALF: tl.constexpr = HEAD_DIM // 2
    head = tl.program_id(1)
    batch = tl.program_id(2).to(tl.int64)
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    half = tl.arange(0, HALF)
    channels = tl.arange(0, HEAD_DIM)
    block = tl.arange(0, BLOCK_N)
    length = tokens
    if LENGTHS is not None:
        length = tl.minimum(tl.load(LENGTHS + batch), tokens)
    acc = tl.zeros((BLOCK_M, HEAD_DIM), tl.float32)
    highest = tl.full((BLOCK_M,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK_M,), tl.float32)
    if tl.program_id(0) * BLOCK_M < length:
        inside = rows[:, None] < length
        q_at = Q + batch * q_batch + head * q_head + rows[:, None] * q_token + half[None, :]
        q_left = tl.load(q_at, mask=inside, other=0.0)
        q_right = tl.load(q_at + HALF, mask=inside, other=0.0)
        if COS is not None:
            left, right = _rotated(q_left, q_right, COS, SIN, rows, half, inside, HALF)
            q_left = left.to(Q.dtype.element_ty)
            q_right = right.to(Q.dtype.element_ty)
        k = K + batch * k_batch + (head // GROUP) * k_head
        v = V + batch * v_batch + (head // GROUP) * v_head
        whole = length // BLOCK_N * BLOCK_N
        for start in range(0, whole, BLOCK_N):
            acc, highest, total = _forward_tile(
                q_left, q_right, k, v, k_token, v_token, start + block, half, channels, length, scale,
                acc, highest, total, HALF, False,
            )  # fmt: skip
        if whole < length:
            acc, highest, total = _forward_tile(
                q_left, q_right, k, v, k_token, v_token, whole + block, half, channels, length, scale,
                acc, highest, total, HALF, True,
            )  # fmt: skip
        acc = tl.where(inside, acc / total[:, None], 0.0)
    out_at = OUT + batch * out_batch + head * out_head + rows[:, None] * out_token + channels[None, :]
    tl.store(out_at, acc.to(OUT.dtype.element_ty), mask=rows[:, None] < tokens)
    if LSE is not None:
        lse = tl.where(rows < length, (highest + tl.log2(total)) * 0.6931471805599453, float("inf"))
        tl.store(LSE + (batch * tl.num_programs(1) + head) * tokens + rows, lse, mask=rows < tokens)


@triton.jit
def delta_kernel(
    OUT, DOUT, DELTA, LENGTHS, out_batch, out_token, out_head, dout_batch, dout_token, dout_head, tokens,
    HEAD_DIM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """delta[b, h, i] = <out[b, i, h], dout[b, i, h]>, zero beyond the length. Grid (blocks of tokens, heads, B)."""
    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    head = tl.program_id(1)
    batch = tl.program_id(2).to(tl.int64)
    channels = tl.arange(0, HEAD_DIM)
    length = tokens
    if LENGTHS is not None:
        length = tl.minimum(tl.load(LENGTHS + batch), tokens)
    inside = rows[:, None] < length
    out_at = OUT + batch * out_batch + head * out_head + rows[:, None] * out_token + channels[None, :]
    dout_at = DOUT + batch * dout_batch + head * dout_head + rows[:, None] * dout_token + channels[None, :]
    out = tl.load(out_at, mask=inside, other=0.0).to(tl.float32)
    dout = tl.load(dout_at, mask=inside, other=0.0).to(tl.float32)
    delta_at = DELTA + (batch * tl.num_programs(1) + head) * tokens + rows
    tl.store(delta_at, tl.sum(out * dout, 1), mask=rows < tokens)


@triton.jit
def _key_gradient_tile(
    k_left, k_right, values, q, dout, lse, delta, q_token, dout_token, rows, half, channels, length, scale,
    dk_left, dk_right, dv, HALF: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """What one block of queries adds to the gradients of a block of keys and values; scores stand transposed."""
    q_at = q + rows[:, None] * q_token + half[None, :]
    dout_at = dout + rows[:, None] * dout_token + channels[None, :]
    if MASKED:
        inside = rows[:, None] < length
        q_left = tl.load(q_at, mask=inside, other=0.0)
        q_right = tl.load(q_at + HALF, mask=inside, other=0.0)
        grad = tl.load(dout_at, mask=inside, other=0.0)
        base = tl.load(lse + rows, mask=rows < length, other=float("inf"))
        drift = tl.load(delta + rows, mask=rows < length, other=0.0)
    else:
        q_left = tl.load(q_at)
        q_right = tl.load(q_at + HALF)
        grad = tl.load(dout_at)
        base = tl.load(lse + rows)
        drift = tl.load(delta + rows)
    scores = tl.dot(k_left, tl.trans(q_left), input_precision="tf32x3")
    scores = tl.dot(k_right, tl.trans(q_right), scores, input_precision="tf32x3")
    weights = tl.exp2(scores * scale - base[None, :] * 1.4426950408889634)
    dv = tl.dot(weights.to(grad.dtype), grad, dv, input_precision="tf32x3")
    dweights = tl.dot(values, tl.trans(grad), input_precision="tf32x3")
    dscores = (weights * (dweights - drift[None, :])).to(q_left.dtype)
    dk_left = tl.dot(dscores, q_left, dk_left, input_precision="tf32x3")
    dk_right = tl.dot(dscores, q_right, dk_right, input_precision="tf32x3")
    return dk_left, dk_right, dv


@triton.jit
def key_gradient_kernel(
    Q, K, V, DOUT, LSE, DELTA, DK, DV, COS, SIN, LENGTHS,
    q_batch, q_token, q_head, k_batch, k_token, k_head, v_batch, v_token, v_head, dout_batch, dout_token, dout_head,
    dk_batch, dk_token, dk_head, dv_batch, dv_token, dv_head,
    tokens, scale, natural_scale,
    GROUP: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """dv_j = sum_i p_ij dout_i and dk_j = scale R_j^T sum_i p_ij (<dout_i, v_j> - delta_i) R_i q_i.

    One program sums over the queries of every head of the group, in order: deterministic, with no atomics. Q and K
    come rotated. Grid (blocks of keys, kv_heads, B).
    """
    HALF: tl.constexpr = HEAD_DIM // 2
    kv_head = tl.program_id(1)
    batch = tl.program_id(2).to(tl.int64)
    columns = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    half = tl.arange(0, HALF)
    channels = tl.arange(0, HEAD_DIM)
    block = tl.arange(0, BLOCK_M)
    length = tokens
    if LENGTHS is not None:
        length = tl.minimum(tl.load(LENGTHS + batch), tokens)
    dk_left = tl.zeros((BLOCK_N, HALF), tl.float32)
    dk_right = tl.zeros((BLOCK_N, HALF), tl.float32)
    dv = tl.zeros((BLOCK_N, HEAD_DIM), tl.float32)
    inside = columns[:, None] < length
    if tl.program_id(0) * BLOCK_N < length:
        k_at = K + batch * k_batch + kv_head * k_head + columns[:, None] * k_token + half[None, :]
        v_at = V + batch * v_batch + kv_head * v_head + columns[:, None] * v_token + channels[None, :]
        k_left = tl.load(k_at, mask=inside, other=0.0)
        k_right = tl.load(k_at + HALF, mask=inside, other=0.0)
        values = tl.load(v_at, mask=inside, other=0.0)
        whole = length // BLOCK_M * BLOCK_M
        for member in range(GROUP):
            head = kv_head * GROUP + member
            q = Q + batch * q_batch + head * q_head
            dout = DOUT + batch * dout_batch + head * dout_head
            lse = LSE + (batch * (tl.num_programs(1) * GROUP) + head) * tokens
            delta = DELTA + (batch * (tl.num_programs(1) * GROUP) + head) * tokens
            for start in range(0, whole, BLOCK_M):
                dk_left, dk_right, dv = _key_gradient_tile(
                    k_left, k_right, values, q, dout, lse, delta, q_token, dout_token, start + block, half, channels,
                    length, scale, dk_left, dk_right, dv, HALF, False,
                )  # fmt: skip
            if whole < length:
                dk_left, dk_right, dv = _key_gradient_tile(
                    k_left, k_right, values, q, dout, lse, delta, q_token, dout_token, whole + block, half, channels,
                    length, scale, dk_left, dk_right, dv, HALF, True,
                )  # fmt: skip
        dk_left = tl.where(inside, dk_left * natural_scale, 0.0)
        dk_right = tl.where(inside, dk_right * natural_scale, 0.0)
        dv = tl.where(inside, dv, 0.0)
        if COS is not None:
            dk_left, dk_right = _unrotated(dk_left, dk_right, COS, SIN, columns, half, inside, HALF)
    stored = columns[:, None] < tokens
    dk_at = DK + batch * dk_batch + kv_head * dk_head + columns[:, None] * dk_token + half[None, :]
    tl.store(dk_at, dk_left.to(DK.dtype.element_ty), mask=stored)
    tl.store(dk_at + HALF, dk_right.to(DK.dtype.element_ty), mask=stored)
    dv_at = DV + batch * dv_batch + kv_head * dv_head + columns[:, None] * dv_token + channels[None, :]
    tl.store(dv_at, dv.to(DV.dtype.element_ty), mask=stored)


@triton.jit
def _query_gradient_tile(
    q_left, q_right, grad, base, drift, k, v, k_token, v_token, columns, half, channels, length, scale,
    dq_left, dq_right, HALF: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """What one block of keys adds to the gradient of a block of queries."""
    k_at = k + columns[:, None] * k_token + half[None, :]
    v_at = v + columns[:, None] * v_token + channels[None, :]
    if MASKED:
        inside = columns[:, None] < length
        k_left = tl.load(k_at, mask=inside, other=0.0)
        k_right = tl.load(k_at + HALF, mask=inside, other=0.0)
        values = tl.load(v_at, mask=inside, other=0.0)
    else:
        k_left = tl.load(k_at)
        k_right = tl.load(k_at + HALF)
        values = tl.load(v_at)
    scores = tl.dot(q_left, tl.trans(k_left), input_precision="tf32x3")
    scores = tl.dot(q_right, tl.trans(k_right), scores, input_precision="tf32x3")
    if MASKED:  # keys are zero there, but a weight that overflowed would make zero times infinity of them
        scores = tl.where(columns[None, :] < length, scores, float("-inf"))
    weights = tl.exp2(scores * scale - base[:, None])
    dweights = tl.dot(grad, tl.trans(values), input_precision="tf32x3")
    dscores = (weights * (dweights - drift[:, None])).to(k_left.dtype)
    dq_left = tl.dot(dscores, k_left, dq_left, input_precision="tf32x3")
    dq_right = tl.dot(dscores, k_right, dq_right, input_precision="tf32x3")
    return dq_left, dq_right


@triton.jit
def query_gradient_kernel(
    Q, K, V, DOUT, LSE, DELTA, DQ, COS, SIN, LENGTHS,
    q_batch, q_token, q_head, k_batch, k_token, k_head, v_batch, v_token, v_head, dout_batch, dout_token, dout_head,
    dq_batch, dq_token, dq_head,
    tokens, scale, natural_scale,
    GROUP: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """dq_i = scale R_i^T sum_j p_ij (<dout_i, v_j> - delta_i) R_j k_j. Q and K come rotated.

    Grid (blocks of queries, heads, B).
    """
    HALF: tl.constexpr = HEAD_DIM // 2
    head = tl.program_id(1)
    batch = tl.program_id(2).to(tl.int64)
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    half = tl.arange(0, HALF)
    channels = tl.arange(0, HEAD_DIM)
    block = tl.arange(0, BLOCK_N)
    length = tokens
    if LENGTHS is not None:
        length = tl.minimum(tl.load(LENGTHS + batch), tokens)
    dq_left = tl.zeros((BLOCK_M, HALF), tl.float32)
    dq_right = tl.zeros((BLOCK_M, HALF), tl.float32)
    inside = rows[:, None] < length
    if tl.program_id(0) * BLOCK_M < length:
        q_at = Q + batch * q_batch + head * q_head + rows[:, None] * q_token + half[None, :]
        dout_at = DOUT + batch * dout_batch + head * dout_head + rows[:, None] * dout_token + channels[None, :]
        row = (batch * tl.num_programs(1) + head) * tokens + rows
        q_left = tl.load(q_at, mask=inside, other=0.0)
        q_right = tl.load(q_at + HALF, mask=inside, other=0.0)
        grad = tl.load(dout_at, mask=inside, other=0.0)
        base = tl.load(LSE + row, mask=rows < length, other=float("inf")) * 1.4426950408889634
        drift = tl.load(DELTA + row, mask=rows < length, other=0.0)
        k = K + batch * k_batch + (head // GROUP) * k_head
        v = V + batch * v_batch + (head // GROUP) * v_head
        whole = length // BLOCK_N * BLOCK_N
        for start in range(0, whole, BLOCK_N):
            dq_left, dq_right = _query_gradient_tile(
                q_left, q_right, grad, base, drift, k, v, k_token, v_token, start + block, half, channels, length,
                scale, dq_left, dq_right, HALF, False,
            )  # fmt: skip
        if whole < length:
            dq_left, dq_right = _query_gradient_tile(
                q_left, q_right, grad, base, drift, k, v, k_token, v_token, whole + block, half, channels, length,
                scale, dq_left, dq_right, HALF, True,
            )  # fmt: skip
        dq_left *= natural_scale
        dq_right *= natural_scale
        if COS is not None:
            dq_left, dq_right = _unrotated(dq_left, dq_right, COS, SIN, rows, half, inside, HALF)
    stored = rows[:, None] < tokens
    dq_at = DQ + batch * dq_batch + head * dq_head + rows[:, None] * dq_token + half[None, :]
    tl.store(dq_at, dq_left.to(DQ.dtype.element_ty), mask=stored)
    tl.store(dq_at + HALF, dq_right.to(DQ.dtype.element_ty), mask=stored)


def _forward(
    qkv: Tensor, cos: Tensor | None, sin: Tensor | None, lengths: Tensor | None, heads: int, scale: float, lse: bool
) -> tuple[Tensor, Tensor]:
    """Launches the forward kernels: out (B, N, heads, D) and the log-sum-exp (B, heads, N), empty unless wanted."""
    batch, tokens, _, head_dim = qkv.shape
    q, k, v = _views(qkv, heads)
    group = heads // k.shape[2]
    tile = tiles(key("attention_forward", head_dim, bits(qkv)), qkv)
    out = torch.empty((batch, tokens, heads, head_dim), dtype=qkv.dtype, device=qkv.device)
    sums = torch.empty((batch, heads, tokens) if lse else (0,), dtype=torch.float32, device=qkv.device)
    if cos is not None and sin is not None:
        k = _rotate(k, cos, sin)
    grid = (cdiv(tokens, tile.block_m), heads, batch)
    launch(
        forward_kernel, grid, q, k, v, out, sums if lse else None, cos, sin, lengths,
        *_strides(q), *_strides(k), *_strides(v), *_strides(out), tokens, scale * LOG2E,
        GROUP=group, HEAD_DIM=head_dim, **tile.options("BLOCK_M", "BLOCK_N"),
    )  # fmt: skip
    return out, sums


def _backward(
    qkv: Tensor, cos: Tensor | None, sin: Tensor | None, lengths: Tensor | None, out: Tensor, lse: Tensor,
    dout: Tensor, heads: int, scale: float,
) -> Tensor:  # fmt: skip
    """Launches the backward kernels: the gradient of qkv, packed like it."""
    batch, tokens, _, head_dim = qkv.shape
    dout = _rows(dout)
    q, k, v = _views(qkv, heads)
    group = heads // k.shape[2]
    if cos is not None and sin is not None:
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
    delta = torch.empty_like(lse)
    tile = tiles("attention_delta", qkv)
    launch(
        delta_kernel, (cdiv(tokens, tile.block_m), heads, batch), out, dout, delta, lengths,
        *_strides(out), *_strides(dout), tokens, HEAD_DIM=head_dim, **tile.options("BLOCK"),
    )  # fmt: skip
    gradient = torch.empty(qkv.shape, dtype=qkv.dtype, device=qkv.device)
    dq, dk, dv = _views(gradient, heads)
    tile = tiles(key("attention_key_gradient", head_dim, bits(qkv)), qkv)
    launch(
        key_gradient_kernel, (cdiv(tokens, tile.block_n), heads // group, batch),
        q, k, v, dout, lse, delta, dk, dv, cos, sin, lengths,
        *_strides(q), *_strides(k), *_strides(v), *_strides(dout), *_strides(dk), *_strides(dv),
        tokens, scale * LOG2E, scale, GROUP=group, HEAD_DIM=head_dim, **tile.options("BLOCK_M", "BLOCK_N"),
    )  # fmt: skip
    tile = tiles(key("attention_query_gradient", head_dim, bits(qkv)), qkv)
    launch(
        query_gradient_kernel, (cdiv(tokens, tile.block_m), heads, batch),
        q, k, v, dout, lse, delta, dq, cos, sin, lengths,
        *_strides(q), *_strides(k), *_strides(v), *_strides(dout), *_strides(dq),
        tokens, scale * LOG2E, scale, GROUP=group, HEAD_DIM=head_dim, **tile.options("BLOCK_M", "BLOCK_N"),
    )  # fmt: skip
    return gradient


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x (B, N, heads, D) turned by its positions, contiguous."""
    batch, tokens, heads, head_dim = x.shape
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    tile = tiles("attention_rotate", x)
    launch(
        rotate_kernel, (cdiv(tokens, tile.block_m), heads, batch), x, y, cos, sin, *_strides(x), *_strides(y), tokens,
        HALF=head_dim // 2, **tile.options("BLOCK"),
    )  # fmt: skip
    return y


def _views(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    kv_heads = (qkv.shape[2] - heads) // 2
    q, k, v = qkv.split((heads, kv_heads, kv_heads), dim=2)
    return q, k, v


def _strides(x: Tensor) -> tuple[int, ...]:
    """Of batch, token and head."""
    return x.stride()[:3]


def _rows(x: Tensor) -> Tensor:
    """x with its channels side by side, as the kernels read them."""
    return x if x.stride(-1) == 1 else x.contiguous()


def bidirectional_attention(
    qkv: Tensor,
    heads: int,
    cos: Tensor | None = None,
    sin: Tensor | None = None,
    lengths: Tensor | None = None,
    *,
    bias: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """qkv (B, N, heads + 2 * kv_heads, D) -> (B, N, heads, D): every token sees every other of its sequence.

    cos, sin: (at least N, D), rotate queries and keys. lengths: int32 (B,), tokens of each sequence, padding behind
    them; rows of padding are zero. bias, broadcast to (B, heads, N, N), is added to the scores in place of lengths: for
    graphs, and for masks that aren't padding at the end; it takes the PyTorch form. scale: of the scores, positive,
    1 / sqrt(D) by default. The kernels take D 64 and 128 in fp16 and bf16, and D 64 in fp32 for inference; the rest
    takes the PyTorch form. Raises InputError for shapes that don't fit.
    """
    scale = qkv.shape[-1] ** -0.5 if scale is None else scale
    if not torch.onnx.is_in_onnx_export():
        _check(qkv, heads, cos, sin, lengths, scale)
    learns = torch.is_grad_enabled() and qkv.requires_grad
    if bias is None and _kernel_fits(qkv, learns) and takes_kernel(qkv, cos, sin, lengths):
        attended: Tensor = _attention(qkv, cos, sin, lengths, heads, scale, learns)[0]
        return attended
    return torch_form(qkv, heads, cos, sin, lengths, bias, scale)


def torch_form(
    qkv: Tensor, heads: int, cos: Tensor | None, sin: Tensor | None, lengths: Tensor | None, bias: Tensor | None,
    scale: float,
) -> Tensor:  # fmt: skip
    """The same in PyTorch; with a bias it is what every exported graph has."""
    length, kv_heads = qkv.shape[1], (qkv.shape[2] - heads) // 2
    qk, v = qkv.transpose(1, 2).split((heads + kv_heads, kv_heads), dim=1)
    if cos is not None and sin is not None:
        qk = rotate(qk, cos[:length], sin[:length])
    q, k = qk.split((heads, kv_heads), dim=1)
    k, v = share(k, heads), share(v, heads)
    if lengths is None:
        return attend(q, k, v, bias, scale).transpose(1, 2)
    inside = torch.arange(length, device=qkv.device) < lengths[:, None]
    # Padding may hold anything, NaN too, which no bias takes out of a product.
    q, k, v = (t.masked_fill(~inside[:, None, :, None], 0) for t in (q, k, v))
    padding = torch.zeros(inside.shape, dtype=qkv.dtype, device=qkv.device).masked_fill(~inside, MASKED)
    padding = padding[:, None, None, :] if bias is None else padding[:, None, None, :] + bias
    return attend(q, k, v, padding, scale).transpose(1, 2).masked_fill(~inside[:, :, None, None], 0)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """R of x (B, heads, N, D) by tables (N, D)."""
    left, right = x.split(x.shape[-1] // 2, dim=-1)
    return x * cos.to(x.dtype) + torch.cat((-right, left), dim=-1) * sin.to(x.dtype)


def share(x: Tensor, heads: int) -> Tensor:
    """Keys or values (B, kv heads, N, D) of grouped queries, each repeated for its group: (B, heads, N, D)."""
    batch, kv_heads, length, head_dim = x.shape
    if kv_heads == heads:
        return x
    return x[:, :, None].expand(batch, kv_heads, heads // kv_heads, length, head_dim).reshape(batch, heads, length, -1)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float | None = None) -> Tensor:
    """Attention of (B, heads, N, D).

    Plain matrix products in graphs (engines fuse them) and where a CPU trains: SDPA's bf16 backward takes 40 % of a
    step there.
    """
    if not torch.onnx.is_in_onnx_export() and (q.is_cuda or not torch.is_grad_enabled()):
        return F.scaled_dot_product_attention(q, k, v, None if bias is None else bias.to(q.dtype), scale=scale)
    scores = (q * (q.shape[-1] ** -0.5 if scale is None else scale)) @ k.transpose(-1, -2)
    if bias is not None:
        scores = scores + bias
    attended: Tensor = scores.float().softmax(-1).to(v.dtype) @ v
    return attended


def padding_lengths(mask: Tensor) -> Tensor:
    """mask (B, N), 1 where there is a token, padding at the end -> int32 lengths (B,).

    Padding anywhere else fails an assertion on the device, where it costs no synchronisation.
    """
    tokens = mask != 0
    lengths = tokens.sum(1, dtype=torch.int32)
    prefix = torch.arange(mask.shape[1], device=mask.device) < lengths[:, None]
    torch._assert_async((tokens == prefix).all(), "padding must be at the end of each sequence")
    return lengths


def reference(
    qkv: Tensor, heads: int, cos: Tensor | None, sin: Tensor | None, lengths: Tensor | None, scale: float
) -> tuple[Tensor, Tensor]:
    """(out, log-sum-exp) in float64, sequence by sequence and head by head, each key head as it is."""
    x = qkv.double()
    batch, tokens, slots, head_dim = x.shape
    kv_heads = (slots - heads) // 2
    if cos is not None and sin is not None:
        turned = x[:, :, : heads + kv_heads]
        angle_cos, angle_sin = cos.double()[:tokens, None], sin.double()[:tokens, None]
        swapped = torch.cat((-turned[..., head_dim // 2 :], turned[..., : head_dim // 2]), dim=-1)
        x = torch.cat((turned * angle_cos + swapped * angle_sin, x[:, :, heads + kv_heads :]), dim=2)
    counts = [tokens] * batch if lengths is None else lengths.tolist()
    outs: list[Tensor] = []
    sums: list[Tensor] = []
    for sequence, count in zip(x, counts, strict=True):
        seen = sequence[:count]
        for head in range(heads):
            slot = heads + head // (heads // kv_heads)
            scores = scale * seen[:, head] @ seen[:, slot].T
            outs.append(F.pad(scores.softmax(-1) @ seen[:, slot + kv_heads], (0, 0, 0, tokens - count)))
            sums.append(F.pad(scores.logsumexp(-1), (0, tokens - count), value=math.inf))
    out = torch.stack(outs).reshape(batch, heads, tokens, head_dim).transpose(1, 2)
    return out, torch.stack(sums).reshape(batch, heads, tokens)


def _kernel_fits(qkv: Tensor, learns: bool) -> bool:
    head_dim = qkv.shape[-1]
    if qkv.dtype == torch.float32:  # three TF32 products a dot: more does not fit in registers
        return head_dim == 64 and not learns
    return head_dim in HEAD_DIMS and qkv.dtype in DTYPES


def _check(
    qkv: Tensor, heads: int, cos: Tensor | None, sin: Tensor | None, lengths: Tensor | None, scale: float
) -> None:
    slots = qkv.shape[2] - heads if qkv.ndim == 4 else 0
    if slots < 2 or slots % 2 or heads < 1 or heads % (slots // 2):
        raise InputError(
            f"qkv must be (B, N, heads + 2 * kv_heads, D) with heads={heads} a multiple of kv_heads, "
            f"not {tuple(qkv.shape)}"
        )
    if (cos is None) != (sin is None):
        raise InputError("cos and sin are given together or not at all")
    for name, table in (("cos", cos), ("sin", sin)):
        legal = table is None or (table.ndim == 2 and table.shape[0] >= qkv.shape[1] and table.shape[1] == qkv.shape[3])
        if table is not None and not legal:
            raise InputError(f"{name} must be ({qkv.shape[1]} or more, {qkv.shape[3]}), not {tuple(table.shape)}")
    if lengths is not None and (lengths.shape != qkv.shape[:1] or lengths.dtype != torch.int32):
        raise InputError(f"lengths must be int32 ({len(qkv)},), not {str(lengths.dtype)[6:]} {tuple(lengths.shape)}")
    if not scale > 0:
        raise InputError(f"scale={scale} is not legal; it must be positive")


def launch_attention(
    qkv: Tensor, cos: Tensor | None, sin: Tensor | None, lengths: Tensor | None, heads: int, scale: float, lse: bool
) -> tuple[Tensor, Tensor]:
    tables = (None, None) if cos is None or sin is None else (cos.contiguous(), sin.contiguous())
    return _forward(_rows(qkv), *tables, lengths, heads, scale, lse)


def launch_attention_backward(
    qkv: Tensor, cos: Tensor | None, sin: Tensor | None, lengths: Tensor | None, out: Tensor, lse: Tensor,
    dout: Tensor, heads: int, scale: float,
) -> Tensor:  # fmt: skip
    tables = (None, None) if cos is None or sin is None else (cos.contiguous(), sin.contiguous())
    return _backward(_rows(qkv), *tables, lengths, out, lse, dout, heads, scale)


_attention = torch.library.custom_op("vljepa::bidirectional_attention", launch_attention, mutates_args=())
_attention_backward = torch.library.custom_op(
    "vljepa::bidirectional_attention_backward", launch_attention_backward, mutates_args=()
)


@_attention.register_fake
def _(
    qkv: Tensor, cos: Tensor | None, sin: Tensor | None, lengths: Tensor | None, heads: int, scale: float, lse: bool
) -> tuple[Tensor, Tensor]:
    batch, tokens, _, head_dim = qkv.shape
    out = torch.empty((batch, tokens, heads, head_dim), dtype=qkv.dtype, device=qkv.device)
    return out, torch.empty((batch, heads, tokens) if lse else (0,), dtype=torch.float32, device=qkv.device)


@_attention_backward.register_fake
def _(
    qkv: Tensor, cos: Tensor | None, sin: Tensor | None, lengths: Tensor | None, out: Tensor, lse: Tensor,
    dout: Tensor, heads: int, scale: float,
) -> Tensor:  # fmt: skip
    return torch.empty(qkv.shape, dtype=qkv.dtype, device=qkv.device)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    qkv, cos, sin, lengths, ctx.heads, ctx.scale, ctx.learns = inputs
    ctx.save_for_backward(qkv, cos, sin, lengths, *output)
    ctx.mark_non_differentiable(output[1])


def _gradient(ctx: Any, dout: Tensor, _: Tensor) -> tuple[Tensor, None, None, None, None, None, None]:
    if not ctx.learns:  # a graph of inputs that took no gradient, given some that do
        raise KernelError("this attention was traced for inference; trace it with a qkv that requires a gradient")
    qkv, cos, sin, lengths, out, lse = ctx.saved_tensors
    gradient = _attention_backward(qkv, cos, sin, lengths, out, lse, dout, ctx.heads, ctx.scale)
    return gradient, None, None, None, None, None, None


_attention.register_autograd(_gradient, setup_context=_save)
