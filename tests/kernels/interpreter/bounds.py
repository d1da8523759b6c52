"""How far a kernel may be from float64."""

from __future__ import annotations

import torch
from torch import Tensor


def assert_accurate(found: Tensor, exact: Tensor, own: Tensor, what: str, factor: float = 2.0) -> None:
    """The largest error is at most `factor` times that of PyTorch's own operation in the same type.

    exact is float64; own is what PyTorch makes of the same inputs in found's type. Rounding the exact result to the
    type is the floor that nothing gets below, so an operation of PyTorch that happens to hit it allows that much. NaN
    fails.
    """
    assert found.shape == exact.shape, f"{what}: shape {tuple(found.shape)}, not {tuple(exact.shape)}"
    if exact.numel() == 0:
        return
    finite = exact.isfinite()
    assert torch.equal(found.double()[~finite], exact[~finite]), f"{what}: infinities differ"
    floor = worst(exact.to(found.dtype), exact, finite)
    allowed = factor * max(floor, worst(own, exact, finite))
    error = worst(found, exact, finite)
    assert error <= allowed, f"{what}: error {error:.2e}, allowed {allowed:.2e}, rounding floor {floor:.2e}"


def worst(found: Tensor, exact: Tensor, among: Tensor) -> float:
    """The largest distance; infinite where one is NaN."""
    distance = (found.double() - exact)[among].abs().nan_to_num(nan=torch.inf, posinf=torch.inf)
    return float(distance.max().detach()) if distance.numel() else 0.0
