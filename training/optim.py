"""AdamW as the paper's recipe leaves it open: groups by name, warm-up, constant or cosine, averages, no bad step
taken."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from vljepa_edge.errors import VLJepaError
from vljepa_edge.training.config import Stage

MOST_REFUSED = 20
"""So many refused steps one after another end a run."""


class TrainingError(VLJepaError):
    """A training can't go on: its loss or gradients are not finite any more, or too much of its data is unreadable."""


def build_optimiser(parameters: Iterable[tuple[str, nn.Parameter]], stage: Stage) -> torch.optim.AdamW:
    """Groups with `rate`, the multiple of the stage's learning rate; a group of multiplier 0 is left out.

    Vectors and scalars (norms, biases, the temperature) don't decay. The longest prefix that fits a name decides.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in parameters:
        rate = multiplier(name, stage.multipliers)
        if parameter.requires_grad and rate > 0:
            groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": own, "rate": rate, "weight_decay": stage.weight_decay if decays else 0.0}
            for (rate, decays), own in groups.items()
        ],
        lr=stage.lr,
        betas=(stage.betas[0], stage.betas[1]),
    )


def multiplier(name: str, multipliers: Mapping[str, float]) -> float:
    """Of the longest prefix that `name` begins with; 1 for none."""
    fits = [prefix for prefix in multipliers if name.startswith(prefix)]
    return multipliers[max(fits, key=len)] if fits else 1.0


def rate_at(step: int, steps: int, lr: float, warmup: int, *, cosine: bool) -> float:
    """The learning rate of a step, counted from 0: warm-up to `lr`, then constant, or a half cosine to 0 over all."""
    rate = lr * min(1.0, (step + 1) / max(1, warmup))
    return rate * (0.5 + 0.5 * math.cos(math.pi * step / steps)) if cosine else rate


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its multiple of `rate`."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate"]


class Guard:
    """Refuses steps that would bring what is not finite into the weights, on all ranks alike."""

    def __init__(self, what: str) -> None:
        """what: is trained, for the message."""
        self.refused = 0
        self._what, self._in_a_row = what, 0

    def allows(self, loss: float, norm: float) -> bool:
        """Whether to take a step of this loss and gradient norm. Raises TrainingError after MOST_REFUSED in a row.

        Both must be the same on all ranks, so that all of them take the step or none does.
        """
        if math.isfinite(loss) and math.isfinite(norm):
            self._in_a_row = 0
            return True
        self.refused += 1
        self._in_a_row += 1
        if self._in_a_row == MOST_REFUSED:
            which = "gradient" if math.isfinite(loss) else "loss"
            raise TrainingError(
                f"{self._what}: {MOST_REFUSED} steps in a row could not be taken, the last since its {which} is not "
                f"finite (loss {loss}); the last checkpoint is from before them. To fix it, lower lr, or look for such "
                "values in the data"
            )
        return False


_AVERAGE = "average of weights."


class Average:
    """A moving average of weights by name: average = decay * average + (1 - decay) * weights after each step."""

    def __init__(self, weights: Mapping[str, Tensor], decay: float) -> None:
        self.weights = {name: value.detach().clone() for name, value in weights.items()}
        self._decay = decay

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint, under names that `load` knows."""
        return {f"{_AVERAGE}{name}": value for name, value in self.weights.items()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """What `tensors` gave, among others."""
        for name, value in self.weights.items():
            value.copy_(tensors[f"{_AVERAGE}{name}"])

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor]) -> None:
        """After a step that was taken. What is no float is copied."""
        for name, value in weights.items():
            if value.is_floating_point():
                self.weights[name].lerp_(value.detach(), 1 - self._decay)
            else:
                self.weights[name].copy_(value)
