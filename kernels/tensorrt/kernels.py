"""Attention and pooling with the parameters that TensorRT passes: inputs, int32, outputs.

Each calls the operation's own kernel. Strides follow from the shapes: TensorRT's linear tensors have no gaps. What is
no pointer and no size that varies is compiled in, as TensorRT passes no floats.
"""

from __future__ import annotations

from vljepa_edge.kernels.ops.attention_inputs import rotate_kernel
from vljepa_edge.kernels.ops.bidirectional_attention import forward_kernel
from vljepa_edge.kernels.ops.masked_mean_pool import project_kernel, sum_kernel
from vljepa_edge.kernels.triton_or_none import tl, triton


@triton.jit
def rotate_keys_kernel(
    QKV, COS, SIN, tokens, KEYS,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The keys of qkv (B, N, HEADS + 2 * KV_HEADS, HEAD_DIM), rotated. Grid (blocks of tokens, KV_HEADS, B)."""
    WIDTH: tl.constexpr = (HEADS + 2 * KV_HEADS) * HEAD_DIM
    rotate_kernel(
        QKV + HEADS * HEAD_DIM, KEYS, COS, SIN, tokens * WIDTH, WIDTH, HEAD_DIM,
        tokens * (KV_HEADS * HEAD_DIM), KV_HEADS * HEAD_DIM, HEAD_DIM, tokens, HEAD_DIM // 2, BLOCK,
    )  # fmt: skip


@triton.jit
def attention_kernel(
    QKV, KEYS, COS, SIN, LENGTHS, tokens, OUT,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, SCALE: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """bidirectional_attention.forward_kernel on keys that RotateKeys made. Grid (blocks of queries, HEADS, B)."""
    WIDTH: tl.constexpr = (HEADS + 2 * KV_HEADS) * HEAD_DIM
    KEY_WIDTH: tl.constexpr = KV_HEADS * HEAD_DIM
    OUT_WIDTH: tl.constexpr = HEADS * HEAD_DIM
    forward_kernel(
        QKV, KEYS, QKV + (HEADS + KV_HEADS) * HEAD_DIM, OUT, None, COS, SIN, LENGTHS,
        tokens * WIDTH, WIDTH, HEAD_DIM, tokens * KEY_WIDTH, KEY_WIDTH, HEAD_DIM, tokens * WIDTH, WIDTH, HEAD_DIM,
        tokens * OUT_WIDTH, OUT_WIDTH, HEAD_DIM, tokens, SCALE, HEADS // KV_HEADS, HEAD_DIM, BLOCK_M, BLOCK_N,
    )  # fmt: skip


@triton.jit
def pool_sum_kernel(
    X, LENGTHS, tokens, PARTIAL,
    CHANNELS: tl.constexpr, EPS: tl.constexpr, SPAN: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """masked_mean_pool.sum_kernel with the norm, on x (B, N, CHANNELS). Grid (spans, B)."""
    sum_kernel(X, LENGTHS, PARTIAL, tokens * CHANNELS, CHANNELS, tokens, CHANNELS, EPS, True, SPAN, ROWS, WIDTH)


@triton.jit
def pool_project_kernel(
    PARTIAL, LENGTHS, NORM_WEIGHT, WEIGHT, BIAS, spans, OUT,
    CHANNELS: tl.constexpr, EMBEDDING: tl.constexpr, SPAN: tl.constexpr, BLOCK_E: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """masked_mean_pool.project_kernel; lengths are at most spans * SPAN. Grid (blocks of EMBEDDING, B)."""
    project_kernel(
        PARTIAL, LENGTHS, NORM_WEIGHT, WEIGHT, BIAS, OUT, CHANNELS, spans * SPAN, spans, CHANNELS, EMBEDDING, BLOCK_E,
        BLOCK,
    )  # fmt: skip
