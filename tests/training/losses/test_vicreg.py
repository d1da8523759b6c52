"""VICReg against numpy's own variance and covariance, and the three things that it is for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from vljepa_edge.errors import InputError
from vljepa_edge.training.losses import vicreg


def normal(seed: int, count: int, width: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, width)))


def definition(a: NDArray[np.float64], b: NDArray[np.float64], weights: tuple[float, float, float]) -> float:
    invariance = float(np.mean((a - b) ** 2))
    variance = float(np.mean([np.maximum(0, 1 - np.sqrt(np.var(x, axis=0, ddof=1) + 1e-4)).mean() for x in (a, b)]))
    covariance = 0.0
    for x in (a, b):
        matrix = np.atleast_2d(np.cov(x, rowvar=False))
        covariance += sum(matrix[i, j] ** 2 for i in range(len(matrix)) for j in range(len(matrix)) if i != j)
    return weights[0] * invariance + weights[1] * variance + weights[2] * covariance / a.shape[1]


@given(
    seed=st.integers(0, 2**16),
    count=st.integers(2, 8),
    width=st.integers(1, 6),
    spread=st.floats(0.0, 3.0),
    weights=st.tuples(*[st.floats(0.0, 30.0)] * 3),
)
@settings(max_examples=60)
def test_equals_the_definition(
    seed: int, count: int, width: int, spread: float, weights: tuple[float, float, float]
) -> None:
    a, b = spread * normal(seed, count, width) + 2, spread * normal(seed + 1, count, width) - 1
    found = vicreg(a, b, invariance=weights[0], variance=weights[1], covariance=weights[2])
    assert float(found) == pytest.approx(definition(a.numpy(), b.numpy(), weights), rel=1e-9, abs=1e-9)


def test_the_weights_of_the_paper_are_the_default() -> None:
    a, b = normal(2, 7, 4), normal(3, 7, 4)
    assert float(vicreg(a, b)) == pytest.approx(definition(a.numpy(), b.numpy(), (25.0, 25.0, 1.0)))


def test_a_collapsed_batch_costs_and_a_step_down_the_gradient_spreads_it() -> None:
    nearly = 1e-3 * normal(4, 16, 4)
    spread = normal(5, 4096, 4)
    assert float(vicreg(nearly, nearly)) > 20 > 1 > float(vicreg(spread, spread))
    leaf = nearly.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(vicreg(leaf, leaf), leaf)
    assert bool(((nearly - gradient).std(0) > 2 * nearly.std(0)).all())


def test_channels_that_say_the_same_cost() -> None:
    one = normal(6, 512, 1)
    alike, apart = one.expand(-1, 4), normal(6, 512, 4)
    only = {"invariance": 0.0, "variance": 0.0}
    assert float(vicreg(alike, alike, **only)) > 100 * float(vicreg(apart, apart, **only))


def test_the_gradient_of_a_constant_channel_is_finite() -> None:
    leaf = torch.ones(5, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(vicreg(leaf, torch.ones(5, 3)), leaf)
    assert bool(gradient.isfinite().all())


def test_half_precision_is_summed_in_single() -> None:
    a, b = normal(7, 3000, 4).bfloat16(), normal(8, 3000, 4).bfloat16()
    only = {"invariance": 0.0}
    torch.testing.assert_close(vicreg(a, b, **only), vicreg(a.float(), b.float(), **only))


def test_one_row_and_unequal_shapes_are_refused() -> None:
    for a, b in ((torch.ones(1, 3), torch.ones(1, 3)), (torch.ones(4, 3), torch.ones(4, 2))):
        with pytest.raises(InputError, match="at least 2"):
            vicreg(a, b)
