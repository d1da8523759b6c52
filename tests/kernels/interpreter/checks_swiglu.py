"""What SwiGLU must hold to, for any module that claims to be it."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch

from tests.kernels.interpreter.bounds import assert_accurate


@dataclass(frozen=True)
class Case:
    """rows of 2 x width; gap: other channels between rows."""

    rows: int
    width: int
    dtype: torch.dtype = torch.float16
    gap: int = 0


CASES = (Case(0, 8), Case(1, 1), Case(5, 123, torch.float32, gap=3), Case(3, 1024), Case(2, 1025, torch.bfloat16))
QUICK = (CASES[2], CASES[4])


def check(module: ModuleType, case: Case) -> None:
    """Value and gradient against float64; large gates must not become NaN."""
    generator = torch.Generator().manual_seed(case.width)
    whole = torch.randn((case.rows, 2 * case.width + case.gap), generator=generator) * 3
    whole[:, 2 * case.width :] = torch.nan
    if case.rows:
        whole[0, 0] = -200.0
    gate_up = whole.to(case.dtype)[:, : 2 * case.width]
    dy = torch.randn((case.rows, case.width), generator=generator).to(case.dtype)
    leaf, exact_leaf, own_leaf = (t.detach().requires_grad_() for t in (gate_up, gate_up.double(), gate_up))
    y, exact, own = module._gated(leaf), module.reference(exact_leaf), module.torch_form(own_leaf)
    assert_accurate(y, exact, own, "y")
    (found,) = torch.autograd.grad(y, leaf, dy)
    (expected,) = torch.autograd.grad(exact, exact_leaf, dy.double())
    (owns,) = torch.autograd.grad(own, own_leaf, dy)
    assert_accurate(found, expected, owns, "dgate_up")
