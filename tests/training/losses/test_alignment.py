"""Cosine, L1 and L2 against sums over numbers in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vljepa_edge.training.losses import cosine, l1, l2


def rows(seed: int, count: int, width: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(count, width))), torch.from_numpy(rng.normal(size=(count, width)))


@given(seed=st.integers(0, 2**16), count=st.integers(1, 6), width=st.integers(1, 9))
@settings(max_examples=40)
def test_each_equals_its_definition(seed: int, count: int, width: int) -> None:
    a, b = rows(seed, count, width)
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))

    def length(v: list[float]) -> float:
        return math.sqrt(sum(x * x for x in v))

    angles = [1 - sum(x * y for x, y in zip(u, v, strict=True)) / length(u) / length(v) for u, v in pairs]
    assert float(cosine(a, b)) == pytest.approx(sum(angles) / count, rel=1e-9, abs=1e-12)
    apart = [sum(abs(x - y) for x, y in zip(u, v, strict=True)) for u, v in pairs]
    assert float(l1(a, b)) == pytest.approx(sum(apart) / count)
    squares = [sum((x - y) ** 2 for x, y in zip(u, v, strict=True)) for u, v in pairs]
    assert float(l2(a, b)) == pytest.approx(sum(squares) / count)


def test_of_unit_rows_l2_is_twice_the_cosine_distance() -> None:
    a, b = (F.normalize(x, dim=-1) for x in rows(0, 5, 8))
    torch.testing.assert_close(l2(a, b), 2 * cosine(a, b))


@pytest.mark.parametrize("loss", [cosine, l1, l2])
def test_equal_rows_cost_nothing_and_a_step_down_brings_pairs_together(loss: Callable[..., Tensor]) -> None:
    a, b = rows(1, 5, 8)
    assert float(loss(a, a)) == pytest.approx(0.0, abs=1e-12)
    leaf = a.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf, b), leaf)
    assert float(loss(a.detach() - 1e-3 * gradient, b)) < float(loss(a.detach(), b))


@pytest.mark.parametrize("loss", [cosine, l1, l2])
def test_a_collapsed_batch_costs_nothing(loss: Callable[..., Tensor]) -> None:
    """Which is why the Y-encoder must not be trained with these alone."""
    same = torch.ones(4, 6)
    assert float(loss(same, same)) == pytest.approx(0.0, abs=1e-6)
