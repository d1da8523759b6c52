"""What InfoNCE must hold to, for any module that claims to be it."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch
import torch.nn.functional as F

from tests.kernels.interpreter.bounds import assert_accurate


@dataclass(frozen=True)
class Case:
    """rows of this rank among all columns, beginning at `offset`. keys: how many a row and a column have each."""

    rows: int
    columns: int
    width: int
    dtype: torch.dtype = torch.float32
    offset: int = 0
    keys: tuple[int, int] | None = None
    scale: float = 20.0


CASES = (
    Case(1, 1, 16),
    Case(33, 33, 65),
    Case(40, 96, 32, offset=50, keys=(1, 3)),
    Case(65, 66, 64, torch.bfloat16),
    Case(96, 96, 48, keys=(2, 1), scale=100.0),
)
QUICK = (CASES[1], CASES[2])


def check(module: ModuleType, case: Case) -> None:
    """Log-sum-exp and gradients to both sides and the temperature, against float64 over the whole matrix."""
    generator = torch.Generator().manual_seed(case.columns)

    def unit(rows: int) -> torch.Tensor:
        return F.normalize(torch.randn((rows, case.width), generator=generator), dim=-1).to(case.dtype)

    a, b, scale = unit(case.rows), unit(case.columns), torch.tensor(case.scale)
    row_keys = column_keys = same = None
    if case.keys is not None:  # of 64 bits, some different in the upper half alone, some negative
        words = torch.tensor([5, 5 + 2**32, 5 + 2**62, -5, 9, 9 - 2**40, 0, -(2**63)])
        row_keys = words[torch.randint(8, (case.rows, case.keys[0]), generator=generator)]
        column_keys = words[torch.randint(8, (case.columns, case.keys[1]), generator=generator)]
        same = (row_keys[:, None, :, None] == column_keys[None, :, None, :]).any(-1).any(-1)
    weight = torch.rand(case.rows, generator=generator)

    def dense(*leaves: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        scores = leaves[0] @ leaves[1].T * leaves[2]
        if same is not None:
            kept = torch.eye(case.columns, dtype=torch.bool)[case.offset : case.offset + case.rows]
            scores = scores.masked_fill(same & ~kept, -torch.inf)
        lse = scores.logsumexp(1)
        return lse, torch.autograd.grad(lse, leaves, weight.to(lse.dtype))

    exact, expected = dense(*(t.double().requires_grad_() for t in (a, b, scale)))
    own, owns = dense(*(t.float().requires_grad_() for t in (a, b, scale)))
    leaves = [t.detach().requires_grad_() for t in (a, b, scale)]
    lse = module._lse(*leaves, row_keys, column_keys, case.offset)
    assert_accurate(lse, exact.detach(), own.detach(), "lse", factor=4.0)
    found = torch.autograd.grad(lse, leaves, weight)
    for name, mine, right, torchs in zip(("da", "db", "dscale"), found, expected, owns, strict=True):
        if case.dtype == torch.float32:  # the bar: 1e-5 of the gradient's size
            error = (mine.double() - right).norm() / right.norm().clamp(min=1e-3)
            assert error <= 1e-5, f"{name}: relative error {error:.1e}"
        else:  # shares are rounded to the type before they are multiplied, as in attention
            assert_accurate(mine, right, torchs.to(case.dtype), name, factor=4.0)
