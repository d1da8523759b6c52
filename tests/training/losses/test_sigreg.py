"""SIGReg against quadrature of the complex characteristic function, and that it knows a Gaussian when it sees one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad, trapezoid
from torch import Tensor

from vljepa_edge.errors import InputError
from vljepa_edge.training.losses import sigreg
from vljepa_edge.training.losses.sigreg import epps_pulley, random_directions


def normal(seed: int, count: int, width: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, width)))


def integrand(x: NDArray[np.float64], t: float) -> float:
    distance = abs(np.exp(1j * t * x).mean() - math.exp(-t * t / 2))
    return float(len(x) * distance**2 * math.exp(-t * t / 2))


@given(seed=st.integers(0, 2**16), count=st.integers(1, 30), spread=st.floats(0.0, 3.0), middle=st.floats(-5.0, 5.0))
@settings(max_examples=40, deadline=None)
def test_the_statistic_is_a_sum_of_trapezoids(seed: int, count: int, spread: float, middle: float) -> None:
    x = middle + spread * np.random.default_rng(seed).normal(size=count)
    exact = trapezoid([integrand(x, t) for t in np.linspace(-5, 5, 17)], dx=10 / 16)
    assert float(epps_pulley(torch.from_numpy(x)[:, None])) == pytest.approx(exact, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("spread", "middle"), [(1.0, 0.0), (0.0, 0.0), (0.5, 1.0), (1.5, -0.5)])
def test_the_trapezoids_are_close_to_the_integral(spread: float, middle: float) -> None:
    x = middle + spread * np.random.default_rng(0).normal(size=200)
    exact = quad(lambda t: integrand(x, t), -math.inf, math.inf, limit=400)[0]
    assert float(epps_pulley(torch.from_numpy(x)[:, None])) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("count", [50, 2000])
def test_of_a_gaussian_it_has_the_mean_that_theory_says(count: int) -> None:
    """integral (1 - exp(-t^2)) exp(-t^2 / 2) dt, whatever the number of rows."""
    expected = math.sqrt(2 * math.pi) * (1 - 3**-0.5)
    found = epps_pulley(normal(0, count, 3000))
    assert float(found.mean()) == pytest.approx(expected, abs=4 * float(found.std()) / math.sqrt(3000))


@pytest.mark.parametrize(
    "other",
    [
        lambda x: 0.0 * x,  # collapsed to a point
        lambda x: 2.0 * x,
        lambda x: x + 1.0,
        lambda x: x.sign(),  # the mean and variance of a Gaussian, and sums that are nearly one
        lambda x: x[:, :1].expand(-1, x.shape[1]),  # collapsed to a line
    ],
)
def test_what_is_no_isotropic_gaussian_costs_much_more(other: object) -> None:
    x = normal(1, 1000, 8)
    wrong = other(x)  # type: ignore[operator]
    right = float(sigreg(x, x, step=0, weight=1.0))
    assert right < 2.0
    assert float(sigreg(wrong, wrong, step=0, weight=1.0)) > 3 * right


def test_steps_down_the_gradient_make_a_batch_gaussian() -> None:
    """From a small ball far from the middle: mean 0 and variance 1 in every channel."""
    x = (0.2 * normal(2, 256, 4) + 1.0).requires_grad_()
    optimiser = torch.optim.Adam([x], lr=0.05)
    for step in range(300):
        optimiser.zero_grad()
        sigreg(x, x.detach(), step, weight=1.0, directions=32).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    moments = torch.cat((x.mean(0), x.std(0) - 1)).detach().abs()
    assert float(moments.max()) < 0.15


def test_the_weight_goes_from_distance_to_statistic() -> None:
    a, b = normal(3, 9, 5), normal(4, 9, 5)
    distance, both = ((a - b) ** 2).mean(), sigreg(a, b, step=7, weight=0.3)
    seen = random_directions(5, 256, 7).double()
    statistic = torch.cat((epps_pulley(a @ seen), epps_pulley(b @ seen))).mean()
    torch.testing.assert_close(sigreg(a, b, step=7, weight=0.0), distance)
    torch.testing.assert_close(both, 0.7 * distance + 0.3 * statistic)


def test_a_step_has_its_own_unit_directions() -> None:
    first, again, next_one = random_directions(6, 10, 5), random_directions(6, 10, 5), random_directions(6, 10, 6)
    assert torch.equal(first, again) and not torch.equal(first, next_one)
    torch.testing.assert_close(first.norm(dim=0), torch.ones(10))


def test_what_is_asked_wrongly_is_refused() -> None:
    x = torch.ones(3, 2)
    for attempt, message in (
        (lambda: sigreg(x, x[:2], 0), "alike"),
        (lambda: sigreg(x, x, 0, weight=1.5), "weight must be 0 to 1"),
        (lambda: sigreg(x, x, 0, directions=0), "directions at least 1"),
    ):
        with pytest.raises(InputError, match=message):
            attempt()
