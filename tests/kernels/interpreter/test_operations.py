"""Every kernel is as exact as PyTorch's own operation, at the lengths, heads and strides where kernels break."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.kernels.interpreter import (
    checks_attention,
    checks_info_nce,
    checks_int8_linear,
    checks_patchify,
    checks_pool,
    checks_rms_norm,
    checks_swiglu,
)


def load(operation: str) -> ModuleType:
    import importlib

    return importlib.import_module(f"vljepa_edge.kernels.ops.{operation}")


CHECKS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "bidirectional_attention": (checks_attention, (*checks_attention.FORWARD, *checks_attention.BACKWARD)),
    "rms_norm": (checks_rms_norm, checks_rms_norm.CASES),
    "swiglu": (checks_swiglu, checks_swiglu.CASES),
    "masked_mean_pool": (checks_pool, checks_pool.CASES),
    "int8_linear": (checks_int8_linear, checks_int8_linear.CASES),
    "info_nce": (checks_info_nce, checks_info_nce.CASES),
    "patchify": (checks_patchify, checks_patchify.CASES),
}
PAIRS = [(operation, case) for operation, (_, cases) in CHECKS.items() for case in cases]


@pytest.mark.parametrize(("operation", "case"), PAIRS, ids=[f"{o}-{c}" for o, c in PAIRS])
def test_kernel_against_float64(operation: str, case: Any) -> None:
    CHECKS[operation][0].check(load(operation), case)
