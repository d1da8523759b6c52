"""What the W8A8 layer must hold to, for any module that claims to be it."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch

from tests.kernels.interpreter.bounds import assert_accurate


@dataclass(frozen=True)
class Case:
    """rows x width times (columns x width)."""

    rows: int
    columns: int
    width: int
    dtype: torch.dtype = torch.float16
    static: bool = False
    swiglu: bool = False
    bias: bool = True
    gap: int = 0


CASES = (
    Case(1, 1, 16, bias=False),
    Case(64, 128, 64, torch.float32),
    Case(65, 129, 65, torch.bfloat16, gap=3),
    Case(70, 130, 200, torch.float32, static=True),
    Case(33, 140, 130, torch.float32, swiglu=True),
    Case(20, 64, 96, torch.float16, static=True, swiglu=True, bias=False),
    Case(600, 20, 64, torch.float32),
)
QUICK = (CASES[2], CASES[3], CASES[4], CASES[6])


def check(module: ModuleType, case: Case) -> None:
    """Against float64 of the same integers; the sums are exact, so only the epilogue rounds. One token is all zero."""
    generator = torch.Generator().manual_seed(case.rows)
    whole = torch.randn((case.rows, case.width + case.gap), generator=generator)
    whole[:, case.width :] = torch.nan
    whole[-1, : case.width] = 0
    x = whole.to(case.dtype)[:, : case.width]
    weight, scale = module.quantise_weight(torch.randn((case.columns, case.width), generator=generator))
    bias = torch.randn(case.columns, generator=generator).to(case.dtype) if case.bias else None
    static = torch.tensor([0.01]) if case.static else None  # cuts what is above 1.27
    found = module._linear(x, weight, scale, bias, static, case.swiglu)
    exact = module.reference(x, weight, scale, bias, static, case.swiglu)
    own = module.torch_form(x, weight, scale, bias, static, case.swiglu)
    assert_accurate(found, exact, own, "y")
