"""What TensorRT launches is as exact as the operation: the entries with TensorRT's parameters, on its tensors."""

from __future__ import annotations

import pytest
import torch

from vljepa_edge.kernels.ops import bidirectional_attention, masked_mean_pool
from vljepa_edge.kernels.tensorrt import kernels as tensorrt_kernels
from vljepa_edge.kernels.triton_or_none import cdiv

SPAN = masked_mean_pool.SPAN


def random(*shape: int, dtype: torch.dtype = torch.float16) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


@pytest.mark.parametrize(
    ("tokens", "lengths", "heads", "kv_heads"), [(1, None, 2, 1), (33, (1, 0), 2, 2), (70, (33, 70), 4, 2)]
)
def test_rotate_keys_then_attention(tokens: int, lengths: tuple[int, int] | None, heads: int, kv_heads: int) -> None:
    size = 64
    qkv = random(2, tokens, heads + 2 * kv_heads, size)
    cos, sin = random(tokens, size).cos(), random(tokens + 1, size)[:tokens].sin()
    counts = None if lengths is None else torch.tensor(lengths, dtype=torch.int32).clamp(max=tokens)
    keys, out = torch.empty(2, tokens, kv_heads, size).half(), torch.empty(2, tokens, heads, size).half()
    sizes = {"HEADS": heads, "KV_HEADS": kv_heads, "HEAD_DIM": size}
    tensorrt_kernels.rotate_keys_kernel[(cdiv(tokens, 32), kv_heads, 2)](qkv, cos, sin, tokens, keys, **sizes, BLOCK=32)
    scale = size**-0.5
    tensorrt_kernels.attention_kernel[(cdiv(tokens, 32), heads, 2)](
        qkv, keys, cos, sin, counts, tokens, out, **sizes, SCALE=scale * bidirectional_attention.LOG2E,
        BLOCK_M=32, BLOCK_N=32,
    )  # fmt: skip
    exact, _ = bidirectional_attention.reference(qkv, heads, cos, sin, counts, scale)
    torch.testing.assert_close(out.double(), exact, atol=4e-3, rtol=4e-3)


@pytest.mark.parametrize("tokens", [1, 130])
def test_pool_sum_then_pool_project(tokens: int) -> None:
    width, embedding, eps = 40, 21, 1e-5
    x, weight, bias = random(2, tokens, width), random(embedding, width), random(embedding)
    norm = random(width, dtype=torch.float32)
    lengths = torch.tensor((tokens, max(1, tokens // 2)), dtype=torch.int32)
    spans = cdiv(tokens, SPAN)
    partial, out = torch.empty(2, spans, width), torch.empty(2, embedding)
    tensorrt_kernels.pool_sum_kernel[(spans, 2)](
        x, lengths, tokens, partial, CHANNELS=width, EPS=eps, SPAN=SPAN, WIDTH=64, ROWS=16
    )
    tensorrt_kernels.pool_project_kernel[(cdiv(embedding, 16), 2)](
        partial, lengths, norm, weight, bias, spans, out,
        CHANNELS=width, EMBEDDING=embedding, SPAN=SPAN, BLOCK_E=16, BLOCK=32,
    )  # fmt: skip
    exact = masked_mean_pool.tail_reference(x, norm, eps, weight, bias, lengths)
    torch.testing.assert_close(torch.nn.functional.normalize(out, dim=-1).double(), exact, atol=1e-5, rtol=1e-5)
