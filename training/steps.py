"""Optimiser steps that never bring what is not finite into the weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vljepa_edge.training.optim import Guard


class Steps:
    """The steps of one training. `refused`: how many were not taken since their loss or gradient was not finite.

    most: what the norm of all gradients is scaled down to.
    """

    def __init__(self, what: str, model: nn.Module, optimiser: torch.optim.Optimizer, most: float = math.inf) -> None:
        self._model, self._optimiser, self._most = model, optimiser, most
        self._guard = Guard(what)

    @property
    def refused(self) -> int:
        """How many steps were not taken."""
        return self._guard.refused

    def take(self, loss_of_batch: Callable[[], Tensor]) -> float | None:
        """One step down the gradient of a loss; returns the loss, or None when the step was refused.

        A refused step leaves the model as it was, the running statistics of its norms too, and the optimiser as well.
        Raises TrainingError after MOST_REFUSED refused steps in a row.
        """
        statistics = {name: value.clone() for name, value in self._statistics()}
        self._optimiser.zero_grad(set_to_none=True)
        loss = loss_of_batch()
        value, norm = float(loss.detach()), math.nan
        if math.isfinite(value):
            loss.backward()  # type: ignore[no-untyped-call]
            norm = float(torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._most))
        if self._guard.allows(value, norm):
            self._optimiser.step()
            return value
        with torch.no_grad():
            for name, current in self._statistics():
                current.copy_(statistics[name])
        return None

    def _statistics(self) -> list[tuple[str, Tensor]]:
        return list(self._model.named_buffers())
