"""The backward pass of `bidirectional_attention`: gradients of packed queries, keys and values.

With p the weights of the softmax, made again from the scores and the saved log-sum-exp, and delta_i = <out_i, dout_i>:

    dv_j = sum_i p_ij dout_i
    dk_j = scale R_j^T sum_i p_ij (<dout_i, v_j> - delta_i) R_i q_i
    dq_i = scale R_i^T sum_j p_ij (<dout_i, v_j> - delta_i) R_j k_j

(FlashAttention-2, arXiv 2307.08691, algorithm 2, in two kernels, so that nothing is added atomically.)
"""

from __future__ import annotations

import torch
from torch import Tensor

from vljepa_edge.kernels.launch import launch
from vljepa_edge.kernels.ops.attention_inputs import (
    LOG2E,
    rotate_tokens,
    side_by_side,
    strides,
    tables,
    unrotated,
    views,
)
from vljepa_edge.kernels.tiles import bits, key, tiles
from vljepa_edge.kernels.triton_or_none import cdiv, tl, triton


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
            dk_left, dk_right = unrotated(dk_left, dk_right, COS, SIN, columns, half, inside, HALF)
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
            dq_left, dq_right = unrotated(dq_left, dq_right, COS, SIN, rows, half, inside, HALF)
    stored = rows[:, None] < tokens
    dq_at = DQ + batch * dq_batch + head * dq_head + rows[:, None] * dq_token + half[None, :]
    tl.store(dq_at, dq_left.to(DQ.dtype.element_ty), mask=stored)
    tl.store(dq_at + HALF, dq_right.to(DQ.dtype.element_ty), mask=stored)


def launch_attention_backward(
    qkv: Tensor, cos: Tensor | None, sin: Tensor | None, lengths: Tensor | None, out: Tensor, lse: Tensor,
    dout: Tensor, heads: int, scale: float,
) -> Tensor:  # fmt: skip
    """The gradient of qkv, packed like it."""
    qkv, dout = side_by_side(qkv), side_by_side(dout)
    cos, sin = tables(cos, sin)
    batch, tokens, _, head_dim = qkv.shape
    q, k, v = views(qkv, heads)
    group = heads // k.shape[2]
    if cos is not None and sin is not None:
        q, k = rotate_tokens(q, cos, sin), rotate_tokens(k, cos, sin)
    delta = torch.empty_like(lse)
    tile = tiles("attention_delta", qkv)
    launch(
        delta_kernel, (cdiv(tokens, tile.block_m), heads, batch), out, dout, delta, lengths,
        *strides(out), *strides(dout), tokens, HEAD_DIM=head_dim, **tile.options("BLOCK"),
    )  # fmt: skip
    gradient = torch.empty(qkv.shape, dtype=qkv.dtype, device=qkv.device)
    dq, dk, dv = views(gradient, heads)
    tile = tiles(key("attention_key_gradient", head_dim, bits(qkv)), qkv)
    launch(
        key_gradient_kernel, (cdiv(tokens, tile.block_n), heads // group, batch),
        q, k, v, dout, lse, delta, dk, dv, cos, sin, lengths,
        *strides(q), *strides(k), *strides(v), *strides(dout), *strides(dk), *strides(dv),
        tokens, scale * LOG2E, scale, GROUP=group, HEAD_DIM=head_dim, **tile.options("BLOCK_M", "BLOCK_N"),
    )  # fmt: skip
    tile = tiles(key("attention_query_gradient", head_dim, bits(qkv)), qkv)
    launch(
        query_gradient_kernel, (cdiv(tokens, tile.block_m), heads, batch),
        q, k, v, dout, lse, delta, dq, cos, sin, lengths,
        *strides(q), *strides(k), *strides(v), *strides(dout), *strides(dq),
        tokens, scale * LOG2E, scale, GROUP=group, HEAD_DIM=head_dim, **tile.options("BLOCK_M", "BLOCK_N"),
    )  # fmt: skip
    return gradient


attention_backward = torch.library.custom_op(
    "vljepa::bidirectional_attention_backward", launch_attention_backward, mutates_args=()
)


@attention_backward.register_fake
def _(
    qkv: Tensor, cos: Tensor | None, sin: Tensor | None, lengths: Tensor | None, out: Tensor, lse: Tensor,
    dout: Tensor, heads: int, scale: float,
) -> Tensor:  # fmt: skip
    return torch.empty(qkv.shape, dtype=qkv.dtype, device=qkv.device)
