"""What bidirectional attention must hold to, for any module that claims to be it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.kernels.interpreter.bounds import assert_accurate


@dataclass(frozen=True)
class Case:
    """A shape of work. lengths None: no padding. gap: channels between tokens that belong to something else."""

    tokens: int
    lengths: tuple[int, ...] | None = None
    heads: int = 2
    kv_heads: int = 1
    head_dim: int = 64
    dtype: torch.dtype = torch.float16
    rope: bool = True
    gap: int = 0
    scale: float | None = None
    backward: bool = False
    factor: float = 2.0


FORWARD = (
    Case(1, rope=False),
    Case(63, heads=1),
    Case(64, heads=3, kv_heads=3),
    Case(65, (65, 1)),
    Case(70, (0, 64, 70)),
    Case(96, (63, 96), heads=5, kv_heads=1, gap=24),
    Case(66, (65,), heads=4, kv_heads=2, dtype=torch.bfloat16),
    Case(40, (33, 40), dtype=torch.float32, gap=4),
    Case(66, (37,), head_dim=128),
    Case(130, (129,), head_dim=128, heads=1, dtype=torch.bfloat16),
    Case(80, (75,), scale=0.5, heads=1, rope=False),
    Case(640, (613,), rope=False, factor=1.1),
)
BACKWARD = (
    Case(64, heads=4, kv_heads=2, backward=True, rope=False),
    Case(70, (0, 65), backward=True),
    Case(65, (1, 65), backward=True, gap=8, scale=0.3),
    Case(40, (33,), heads=3, kv_heads=1, dtype=torch.bfloat16, backward=True),
    Case(70, (66,), head_dim=128, heads=1, backward=True, scale=0.2),
)
QUICK = (
    Case(70, (0, 64, 70), heads=4, kv_heads=2),
    Case(40, (37,), heads=4, kv_heads=2, scale=1.0, rope=False),
    BACKWARD[1],
    BACKWARD[2],
)
"""Enough to kill every mutant."""


def check(module: ModuleType, case: Case) -> None:
    """Forward, its log-sum-exp, and with `backward` the gradient, against float64; padding of inputs is NaN."""
    slots = case.heads + 2 * case.kv_heads
    batch = 1 if case.lengths is None else len(case.lengths)
    generator = torch.Generator().manual_seed(case.tokens + slots)
    whole = torch.full((batch, case.tokens, slots * case.head_dim + case.gap), math.nan, dtype=case.dtype)
    qkv = whole[:, :, : slots * case.head_dim].unflatten(2, (slots, case.head_dim))
    counts = case.lengths or (case.tokens,)
    for sequence, count in zip(qkv, counts, strict=True):
        sequence[:count] = torch.randn((count, slots, case.head_dim), generator=generator).to(case.dtype)
    cos, sin = tables(case, generator) if case.rope else (None, None)
    lengths = None if case.lengths is None else torch.tensor(case.lengths, dtype=torch.int32)
    scale = case.head_dim**-0.5 if case.scale is None else case.scale

    exact, exact_lse = module.reference(qkv, case.heads, cos, sin, lengths, scale)
    own = own_attention(qkv, case.heads, cos, sin, counts, scale)
    learning = qkv.detach().requires_grad_(case.backward)
    out, lse = module._attention(learning, cos, sin, lengths, case.heads, scale, case.backward)
    assert_accurate(out, exact, own, "out", case.factor)
    if not case.backward:
        return
    torch.testing.assert_close(lse.double(), exact_lse, atol=2e-3 if case.dtype != torch.float32 else 1e-5, rtol=0)
    dout = torch.full(exact.shape, math.nan, dtype=case.dtype)
    for sequence, count in zip(dout, counts, strict=True):
        sequence[:count] = torch.randn((count, *sequence.shape[1:]), generator=generator).to(case.dtype)
    (found,) = torch.autograd.grad(out, learning, dout)
    clean = dout.nan_to_num(nan=0.0)
    exact_in = qkv.double().nan_to_num(nan=0.0).requires_grad_()
    (exact_gradient,) = torch.autograd.grad(
        module.reference(exact_in, case.heads, cos, sin, lengths, scale)[0], exact_in, clean.double()
    )
    own_in = qkv.nan_to_num(nan=0.0).requires_grad_()
    (own_gradient,) = torch.autograd.grad(
        own_attention(own_in, case.heads, cos, sin, counts, scale), own_in, clean
    )  # fmt: skip
    kv = case.kv_heads
    for name, part in zip("qkv", found.split((case.heads, kv, kv), 2), strict=True):
        place = {"q": slice(0, case.heads), "k": slice(-2 * kv, -kv), "v": slice(-kv, None)}[name]
        assert_accurate(part, exact_gradient[:, :, place], own_gradient[:, :, place], f"d{name}", case.factor)


def tables(case: Case, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Angles that differ between the halves of a head, as V-JEPA 2's do."""
    angle = torch.rand((case.tokens + 3, case.head_dim), generator=generator) * 6
    return angle.cos(), angle.sin()


def own_attention(
    qkv: Tensor, heads: int, cos: Tensor | None, sin: Tensor | None, counts: tuple[int, ...], scale: float
) -> Tensor:
    """scaled_dot_product_attention on each sequence without its padding, rotated in fp32 and rounded to the type."""
    kv_heads = (qkv.shape[2] - heads) // 2
    rows = []
    for sequence, count in zip(qkv, counts, strict=True):
        qk, v = sequence[:count].transpose(0, 1).split((heads + kv_heads, kv_heads))
        if cos is not None and sin is not None:
            left, right = qk.float().chunk(2, -1)
            qk = (qk.float() * cos[:count] + torch.cat((-right, left), -1) * sin[:count]).to(qkv.dtype)
        if count == 0:
            rows.append(qkv.new_zeros((qkv.shape[1], heads, qkv.shape[3])))
            continue
        q, k = qk.split((heads, kv_heads))
        out = F.scaled_dot_product_attention(q[None], k[None], v[None], scale=scale, enable_gqa=True)[0]
        rows.append(F.pad(out.transpose(0, 1), (0, 0, 0, 0, 0, qkv.shape[1] - count)))
    return torch.stack(rows)
