"""SIGReg (LeJEPA, arXiv 2511.08544): embeddings distributed as an isotropic Gaussian, seen along random directions.

By the theorem of Cramer and Wold a distribution is N(0, I) if every projection to a line is N(0, 1). Each step looks
along a few directions of its own, and tests what it sees by the statistic of Epps and Pulley, the weighted distance of
the empirical characteristic function to the Gaussian's:

    T = n integral |1/n sum_k exp(i t x_k) - exp(-t^2 / 2)|^2 exp(-t^2 / 2) dt

Its gradient is bounded, and it costs as much as the number of rows times the number of directions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vljepa_edge.errors import InputError

_FURTHEST = 5.0
_POINTS = 17
"""Trapezoids over -5 <= t <= 5, as in the paper. The integrand is even, and 0 at t = 0."""


def sigreg(predicted: Tensor, target: Tensor, step: int, *, weight: float = 0.05, directions: int = 256) -> Tensor:
    """(1 - weight) * mean squared difference + weight * the mean statistic of both sides, (B, E) each.

    step: of the training; the directions come from it, so that every rank and a resumed run look along the same ones.
    Unit rows can't have a variance of 1 in all E channels: give them times E ** 0.5. Raises InputError for shapes that
    differ, a weight outside 0 .. 1 and less than one direction.
    """
    if predicted.ndim != 2 or target.shape != predicted.shape or len(predicted) == 0:
        shapes = f"{tuple(predicted.shape)} and {tuple(target.shape)}"
        raise InputError(f"predicted and target must be (B, E) and alike, B at least 1, not {shapes}")
    if not 0 <= weight <= 1 or directions < 1:
        raise InputError(f"weight must be 0 to 1 and directions at least 1, not {weight} and {directions}")
    seen = random_directions(predicted.shape[1], directions, step).to(predicted.device)
    statistic = (epps_pulley(_project(predicted, seen)) + epps_pulley(_project(target, seen))).mean() / 2
    return (1 - weight) * F.mse_loss(predicted, target) + weight * statistic


def random_directions(width: int, count: int, step: int) -> Tensor:
    """Unit columns (width, count), fp32, the same for a step on every machine: drawn on the CPU."""
    drawn = torch.randn((width, count), generator=torch.Generator().manual_seed(step))
    return F.normalize(drawn, dim=0)


def epps_pulley(projected: Tensor) -> Tensor:
    """The statistic of each column against N(0, 1): (n, K) -> (K,).

    Of columns drawn from it 1.06 on average, whatever n is; of others n times how far they are from it.
    """
    total = torch.zeros_like(projected[0])
    width = 2 * _FURTHEST / (_POINTS - 1)
    for k in range(1, _POINTS // 2 + 1):
        t = torch.tensor(k * width, dtype=projected.dtype, device=projected.device)
        gaussian = torch.exp(-t.square() / 2)
        angle = projected * t
        error = (angle.cos().mean(0) - gaussian).square() + angle.sin().mean(0).square()
        half = 0.5 if k == _POINTS // 2 else 1.0  # the last trapezoid ends here
        total = total + 2 * half * width * gaussian * error
    return total * len(projected)


def _project(rows: Tensor, directions: Tensor) -> Tensor:
    dtype = torch.promote_types(rows.dtype, torch.float32)
    return rows.to(dtype) @ directions.to(dtype)
