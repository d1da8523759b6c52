"""Optimiser steps that never bring what is not finite into the weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vljepa_edge.errors import VLJepaError

MOST_IN_A_ROW = 20
"""So many refused steps one after another end a training."""


class TrainingError(VLJepaError):
    """A training can't go on: its loss or gradients are not finite any more."""


class Steps:
    """The steps of one training. `refused`: how many were not taken since their loss or gradient was not finite.

    most: what the norm of all gradients is scaled down to.
    """

    def __init__(self, what: str, model: nn.Module, optimiser: torch.optim.Optimizer, most: float = math.inf) -> None:
        self.refused = 0
        self._what, self._model, self._optimiser, self._most = what, model, optimiser, most
        self._in_a_row = 0

    def take(self, loss_of_batch: Callable[[], Tensor]) -> float | None:
        """One step down the gradient of a loss; returns the loss, or None when the step was refused.

        A refused step leaves the model as it was, the running statistics of its norms too, and the optimiser as well.
        Raises TrainingError after MOST_IN_A_ROW refused steps in a row.
        """
        statistics = {name: value.clone() for name, value in self._statistics()}
        self._optimiser.zero_grad(set_to_none=True)
        loss = loss_of_batch()
        value = float(loss.detach())
        if math.isfinite(value):
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._most)
            if math.isfinite(float(norm)):
                self._optimiser.step()
                self._in_a_row = 0
                return value
        with torch.no_grad():
            for name, current in self._statistics():
                current.copy_(statistics[name])
        self._refuse(value)
        return None

    def _statistics(self) -> list[tuple[str, Tensor]]:
        return list(self._model.named_buffers())

    def _refuse(self, loss: float) -> None:
        self.refused += 1
        self._in_a_row += 1
        if self._in_a_row == MOST_IN_A_ROW:
            which = "its gradient" if math.isfinite(loss) else "its loss"
            raise TrainingError(
                f"{self._what}: {MOST_IN_A_ROW} steps in a row could not be taken, the last since {which} is not "
                f"finite (loss {loss}); the last checkpoint is from before them. To fix it, lower lr in the recipe, "
                "or look for values that are not finite in the data"
            )
