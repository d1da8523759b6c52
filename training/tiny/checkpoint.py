"""Where a broken-off training stands: everything that decides the rest of it, in one safetensors file.

Weights, their moving average, the optimiser's moments, and as JSON in the file's header the step and the state of the
random draws. A training that goes on from it ends with the same weights as one that was never broken off.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vljepa_edge.support.atomic import replacing

EVERY = 100
"""Steps between two checkpoints."""


def restore_random(rng: random.Random, state: Any) -> None:
    """Let `rng` go on from what getstate() gave, after JSON has made lists of its tuples."""
    version, words, spare = state
    rng.setstate((version, tuple(words), spare))


def save_tensors(tensors: Mapping[str, Tensor], file: Path, header: dict[str, str] | None = None) -> None:
    """Write a safetensors file; one that is there already stays complete until the new one is."""
    with replacing(file) as part:
        save_file({name: value.detach().contiguous().clone() for name, value in tensors.items()}, part, header)


class Checkpoint:
    """The checkpoint of one training loop. `average`: tensors kept beside the weights, by name, changed in place."""

    def __init__(
        self, file: Path, model: nn.Module, optimiser: torch.optim.Optimizer, average: Mapping[str, Tensor]
    ) -> None:
        self.file, self._model, self._optimiser, self._average = file, model, optimiser, average

    def after(self, step: int, draws: Callable[[], Any] = lambda: None) -> None:
        """Save if `step`, counted from 0, is the last of EVERY. `draws`: gives what the random draws go on from,
        anything that JSON can say."""
        if step % EVERY == EVERY - 1:
            self._save(step + 1, draws())

    def _save(self, step: int, draws: Any) -> None:
        moments = self._optimiser.state_dict()["state"]
        tensors = {f"model.{name}": value for name, value in self._model.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self._average.items()}
        tensors |= {f"optimiser.{i}.{name}": value for i, own in moments.items() for name, value in own.items()}
        tensors["torch_rng"] = torch.get_rng_state()
        save_tensors(tensors, self.file, {"step": str(step), "draws": json.dumps(draws)})

    def load(self) -> tuple[int, Any]:
        """Put everything back; the step to go on with, and `draws` as it was saved."""
        tensors = load_file(self.file)
        with safe_open(self.file, "pt") as opened:
            header = opened.metadata()
        torch.set_rng_state(tensors.pop("torch_rng"))
        model: dict[str, Tensor] = {}
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            kind, rest = name.split(".", 1)
            if kind == "model":
                model[rest] = value
            elif kind == "average":
                self._average[rest].copy_(value)
            else:
                i, key = rest.split(".", 1)
                moments.setdefault(int(i), {})[key] = value
        self._model.load_state_dict(model)
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": moments, "param_groups": groups})
        return int(header["step"]), json.loads(header["draws"])

    def clear(self) -> None:
        """The training is done."""
        self.file.unlink(missing_ok=True)
