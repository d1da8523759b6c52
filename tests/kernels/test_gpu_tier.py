"""Full size on a GPU: exactness against float64, and time against PyTorch's own operations.

`test_forms.py` runs all but the times on the CPU in small, so that it is right when there is a GPU.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import vljepa_edge.kernels.ops.bidirectional_attention as attention
import vljepa_edge.kernels.ops.info_nce as nce
import vljepa_edge.kernels.ops.int8_linear as int8
import vljepa_edge.kernels.ops.masked_mean_pool as pool
from vljepa_edge.kernels.ops import patchify, rms_norm, swiglu
from vljepa_edge.kernels.ops.attention_inputs import views
from vljepa_edge.kernels.tools.workloads import EMBEDDING, FFN, HEADS, HIDDEN, KV_HEADS, TOKENS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="NOT VERIFIED ON HARDWARE: no CUDA device here"),
]
DEVICE = "cuda"
HALF = torch.float16
LENGTHS = (TOKENS, 2048 + 37)
ROWS = 4096  # of a batch


def random(*shape: int, dtype: torch.dtype | None = None) -> Tensor:
    return torch.randn(shape, device=DEVICE, dtype=dtype or HALF)


def error(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).abs().max())


def inputs(head_dim: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """qkv, cos, sin, lengths of two sequences of 2048 vision and up to 512 query tokens."""
    angle = torch.rand((TOKENS, head_dim), device=DEVICE) * 6
    lengths = torch.tensor(LENGTHS, dtype=torch.int32, device=DEVICE)
    return random(2, TOKENS, HEADS + 2 * KV_HEADS, head_dim, dtype=dtype), angle.cos(), angle.sin(), lengths


@pytest.mark.parametrize("head_dim", [64, 128])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_attention_at_full_size(head_dim: int, dtype: torch.dtype) -> None:
    qkv, *rest = inputs(head_dim, dtype)
    exact, _ = attention.reference(qkv, HEADS, *rest, head_dim**-0.5)
    own = attention.torch_form(qkv, HEADS, *rest, None, head_dim**-0.5)
    assert error(attention.bidirectional_attention(qkv, HEADS, *rest), exact) <= 2 * error(own, exact)


@pytest.mark.parametrize("head_dim", [64, 128])
def test_gradients_of_attention_at_full_size(head_dim: int) -> None:
    qkv, *rest = inputs(head_dim, torch.bfloat16)
    dout = random(2, TOKENS, HEADS, head_dim, dtype=torch.bfloat16)

    def gradient(x: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        leaf = x.detach().requires_grad_()
        return torch.autograd.grad(run(leaf), leaf, dout.to(x.dtype))[0]

    exact = gradient(qkv.double(), lambda x: attention.reference(x, HEADS, *rest, head_dim**-0.5)[0])
    own = gradient(qkv, lambda x: attention.torch_form(x, HEADS, *rest, None, head_dim**-0.5))
    found = gradient(qkv, lambda x: attention.bidirectional_attention(x, HEADS, *rest))
    assert error(found, exact) <= 2 * error(own, exact)


def test_rms_norm_at_full_size() -> None:
    x, weight = random(2, TOKENS, HIDDEN), random(HIDDEN)
    _, exact = rms_norm.reference(x, weight, 1e-5)
    own = F.rms_norm(x, (HIDDEN,), weight, 1e-5)
    assert error(rms_norm.rms_norm(x, weight, 1e-5), exact) <= 2 * error(own, exact)


def test_swiglu_at_full_size() -> None:
    gate_up = random(2, TOKENS, 2 * FFN)
    exact, own = swiglu.reference(gate_up), swiglu.torch_form(gate_up)
    assert error(swiglu.swiglu(gate_up), exact) <= 2 * error(own, exact)


def test_the_tail_at_full_size() -> None:
    x, weight, head = random(2, TOKENS, HIDDEN), random(HIDDEN), random(EMBEDDING, HIDDEN)
    lengths = torch.tensor(LENGTHS, dtype=torch.int32, device=DEVICE)
    with torch.no_grad():
        tail = pool.embedding_tail(x, weight, 1e-5, head, None, lengths)
    assert error(tail, pool.tail_reference(x, weight, 1e-5, head, None, lengths)) < 1e-5


@pytest.mark.parametrize("gated", [False, True])
def test_int8_linear_at_full_size(gated: bool) -> None:
    """Its integers are exact, so only the epilogue rounds."""
    x = random(2, TOKENS, HIDDEN)
    quantised, scale = int8.quantise_weight(random(HIDDEN, HIDDEN))
    exact = int8.reference(x, quantised, scale, swiglu=gated)
    own = int8.torch_form(x, quantised, scale, None, None, gated)
    assert error(int8.int8_linear(x, quantised, scale, swiglu=gated), exact) <= 2 * error(own, exact)


def test_patchify_at_full_size() -> None:
    frames = torch.randint(0, 256, (1, 16, 256, 256, 3), dtype=torch.uint8, device=DEVICE)
    mean, std = random(3, dtype=torch.float32) + 120, random(3, dtype=torch.float32).abs() + 50
    patches = patchify.patchify(frames, mean, std, 2, 16, torch.float32)
    assert error(patches, patchify.reference(frames, mean, std, 2, 16)) < 1e-5


def test_gradients_of_the_loss() -> None:
    leaves = [F.normalize(random(ROWS, EMBEDDING, dtype=torch.float32), dim=-1).requires_grad_() for _ in range(2)]
    leaves.append(torch.tensor(14.0, device=DEVICE, requires_grad=True))
    found = torch.autograd.grad(nce.info_nce(*leaves), leaves)
    doubles = [t.detach().double().requires_grad_() for t in leaves]
    exact = torch.autograd.grad(nce._dense(*doubles, None, None, None, None), doubles)
    for mine, right in zip(found, exact, strict=True):
        assert float((mine.double() - right).norm() / right.norm()) <= 1e-5


def test_time_of_attention_beside_its_peers(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints milliseconds; rotation and repeated key heads are left out of the peers' time, not of ours."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention
    from triton.testing import do_bench

    qkv, cos, sin, lengths = inputs(64, torch.float16)
    q, k, v = (t.transpose(1, 2).contiguous() for t in views(qkv, HEADS))
    seen = (torch.arange(TOKENS, device=DEVICE) < lengths[:, None])[:, None, None]
    block_mask = create_block_mask(lambda b, h, i, j: j < lengths[b], 2, None, TOKENS, TOKENS)
    flex = torch.compile(flex_attention)
    compiled = torch.compile(attention.torch_form)
    runs = {
        "kernel": lambda: attention.bidirectional_attention(qkv, HEADS, cos, sin, lengths),
        "scaled_dot_product_attention": lambda: F.scaled_dot_product_attention(q, k, v, seen, enable_gqa=True),
        "flex_attention": lambda: flex(q, k, v, block_mask=block_mask, enable_gqa=True),
        "torch.compile of the PyTorch form": lambda: compiled(qkv, HEADS, cos, sin, lengths, None, 0.125),
    }
    times = {name: do_bench(run) for name, run in runs.items()}
    with capsys.disabled():
        print(f"\n{torch.cuda.get_device_name()}: " + ", ".join(f"{name} {ms:.3f} ms" for name, ms in times.items()))
    assert all(ms > 0 for ms in times.values())
