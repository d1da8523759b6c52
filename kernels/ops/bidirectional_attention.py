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
from vljepa_edge.kernels.ops.attention_backward import attention_backward
from vljepa_edge.kernels.ops.attention_inputs import (
    LOG2E,
    rotate,
    rotate_tokens,
    rotated,
    side_by_side,
    strides,
    tables,
    views,
)
from vljepa_edge.kernels.tiles import bits, key, tiles
from vljepa_edge.kernels.triton_or_none import cdiv, tl, triton

HEAD_DIMS = (64, 128)
DTYPES = (torch.float16, torch.bfloat16)
MASKED = -1e4
"""Added to the score of a key that must not be seen. exp() of it is 0 in every float type; finite in fp16."""


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

    Keys in full blocks are read without a mask, and only the last, ragged block has one: masks for every element are
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
            left, right = rotated(q_left, q_right, COS, SIN, rows, half, inside, HALF)
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


def launch_attention(
    qkv: Tensor, cos: Tensor | None, sin: Tensor | None, lengths: Tensor | None, heads: int, scale: float, lse: bool
) -> tuple[Tensor, Tensor]:
    """out (B, N, heads, D) and the log-sum-exp (B, heads, N), empty unless wanted."""
    qkv = side_by_side(qkv)
    cos, sin = tables(cos, sin)
    batch, tokens, _, head_dim = qkv.shape
    q, k, v = views(qkv, heads)
    group = heads // k.shape[2]
    tile = tiles(key("attention_forward", head_dim, bits(qkv)), qkv)
    out = torch.empty((batch, tokens, heads, head_dim), dtype=qkv.dtype, device=qkv.device)
    sums = torch.empty((batch, heads, tokens) if lse else (0,), dtype=torch.float32, device=qkv.device)
    if cos is not None and sin is not None:
        k = rotate_tokens(k, cos, sin)
    grid = (cdiv(tokens, tile.block_m), heads, batch)
    launch(
        forward_kernel, grid, q, k, v, out, sums if lse else None, cos, sin, lengths,
        *strides(q), *strides(k), *strides(v), *strides(out), tokens, scale * LOG2E,
        GROUP=group, HEAD_DIM=head_dim, **tile.options("BLOCK_M", "BLOCK_N"),
    )  # fmt: skip
    return out, sums


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
        fits = table is None or (table.ndim == 2 and table.shape[0] >= qkv.shape[1] and table.shape[1] == qkv.shape[3])
        if table is not None and not fits:
            raise InputError(f"{name} must be ({qkv.shape[1]} or more, {qkv.shape[3]}), not {tuple(table.shape)}")
    if lengths is not None and (lengths.shape != qkv.shape[:1] or lengths.dtype != torch.int32):
        raise InputError(f"lengths must be int32 ({len(qkv)},), not {str(lengths.dtype)[6:]} {tuple(lengths.shape)}")
    if not scale > 0:
        raise InputError(f"scale must be positive, got {scale}")


_attention = torch.library.custom_op("vljepa::bidirectional_attention", launch_attention, mutates_args=())


@_attention.register_fake
def _(
    qkv: Tensor, cos: Tensor | None, sin: Tensor | None, lengths: Tensor | None, heads: int, scale: float, lse: bool
) -> tuple[Tensor, Tensor]:
    batch, tokens, _, head_dim = qkv.shape
    out = torch.empty((batch, tokens, heads, head_dim), dtype=qkv.dtype, device=qkv.device)
    return out, torch.empty((batch, heads, tokens) if lse else (0,), dtype=torch.float32, device=qkv.device)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    qkv, cos, sin, lengths, ctx.heads, ctx.scale, ctx.learns = inputs
    ctx.save_for_backward(qkv, cos, sin, lengths, *output)
    ctx.mark_non_differentiable(output[1])


def _gradient(ctx: Any, dout: Tensor, _: Tensor) -> tuple[Tensor, None, None, None, None, None, None]:
    if not ctx.learns:  # a graph of inputs that took no gradient, given some that do
        raise KernelError("this attention was traced for inference; trace it with a qkv that requires a gradient")
    qkv, cos, sin, lengths, out, lse = ctx.saved_tensors
    gradient = attention_backward(qkv, cos, sin, lengths, out, lse, dout, ctx.heads, ctx.scale)
    return gradient, None, None, None, None, None, None


_attention.register_autograd(_gradient, setup_context=_save)
