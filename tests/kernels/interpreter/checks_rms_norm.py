"""What RMSNorm must hold to, for any module that claims to be it."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch
import torch.nn.functional as F

from tests.kernels.interpreter.bounds import assert_accurate


@dataclass(frozen=True)
class Case:
    """rows x width, with a residual addition or without; gap: other channels between rows."""

    rows: int
    width: int
    dtype: torch.dtype = torch.float16
    residual: bool = True
    gap: int = 0
    magnitude: float = 1.0


CASES = (
    Case(1, 64),
    Case(5, 123, torch.float32),
    Case(33, 130, torch.bfloat16, gap=6),
    Case(300, 16, torch.float32, residual=False),
    Case(17, 2048, residual=False),
    Case(4, 512, magnitude=300.0),
)
QUICK = (CASES[1], CASES[2], CASES[3])


def check(module: ModuleType, case: Case) -> None:
    """Sum, norm and all gradients against float64; the square of `magnitude` 300 overflows fp16."""
    generator = torch.Generator().manual_seed(case.rows)

    def rows() -> torch.Tensor:
        whole = torch.randn((case.rows, case.width + case.gap), generator=generator) * case.magnitude
        whole[:, case.width :] = torch.nan
        return whole.to(case.dtype)[:, : case.width]

    eps = 1e-5
    x, delta = rows(), rows() if case.residual else None
    weight = (torch.rand(case.width, generator=generator) + 0.5).to(case.dtype)
    inputs = [x, weight] if delta is None else [x, delta, weight]
    leaves = [t.detach().requires_grad_() for t in inputs]
    module.BACKWARD_PROGRAMS = 2  # so that a program has several blocks
    op = module._normed if delta is None else module._added_and_normed
    made = op(*leaves, eps)
    added, y = (leaves[0], made) if delta is None else made
    if delta is not None:
        assert torch.equal(added, x + delta)
    exact_leaves = [t.detach().double().requires_grad_() for t in inputs]
    own_leaves = [t.detach().requires_grad_() for t in inputs]
    rounded = (x if delta is None else (x + delta)).double()  # what the kernel has rounded is its norm's input
    exact = module.reference(rounded, weight, eps)[1]
    own_sum = own_leaves[0] if delta is None else own_leaves[0] + own_leaves[1]
    own = F.rms_norm(own_sum, (case.width,), own_leaves[-1], eps)
    assert_accurate(y, exact, own, "y")

    dy, dsum = rows(), rows()
    outputs, gradients = ([y], [dy]) if delta is None else ([y, added], [dy, dsum])
    found = torch.autograd.grad(outputs, leaves, gradients)
    exact_sum = exact_leaves[0] if delta is None else exact_leaves[0] + exact_leaves[1]
    exact_y = module.reference(exact_sum, exact_leaves[-1], eps)[1]
    exact_outputs = [exact_y] if delta is None else [exact_y, exact_sum]
    expected = torch.autograd.grad(exact_outputs, exact_leaves, [g.double() for g in gradients])
    own_outputs = [own] if delta is None else [own, own_sum]
    owns = torch.autograd.grad(own_outputs, own_leaves, gradients)
    for name, a, b, c in zip(("dx", "ddelta", "dweight")[-len(inputs) :], found, expected, owns, strict=True):
        assert_accurate(a, b, c, name)
