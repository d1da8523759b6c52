"""Everything that decides the rest of a run, as one mapping of names to complete tensors on the CPU, and back.

The same whatever the ranks and however they shard, so a run can go on with others. Collective: every rank calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from vljepa_edge.errors import InputError

_SAVE = StateDictOptions(full_state_dict=True, cpu_offload=True)
_LOAD = StateDictOptions(full_state_dict=True, strict=False)
_WEIGHTS, _MOMENTS = "weights.", "moments."


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Complete weights and buffers by name; empty on ranks other than 0 where the module is sharded."""
    found: dict[str, Any] = get_model_state_dict(module, options=_SAVE)
    return found


def load_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put weights back; those that are not given stay. Raises RuntimeError for a shape that differs."""
    set_model_state_dict(module, dict(weights), options=_LOAD)


def state_of(module: nn.Module, optimiser: torch.optim.Optimizer, left_out: frozenset[str]) -> dict[str, Tensor]:
    """Weights, but for those `left_out`, and the moments of an optimiser that has taken a step.

    On a CPU they are the live tensors: save them before the next step.
    """
    found = {f"{_WEIGHTS}{name}": value for name, value in weights_of(module).items() if name not in left_out}
    moments: Any = get_optimizer_state_dict(module, optimiser, options=_SAVE).get("state", {})
    for name, own in moments.items():
        found |= {f"{_MOMENTS}{key}.{name}": value for key, value in own.items()}
    return found


def weights_in(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of what state_of gave, by name."""
    return {name.removeprefix(_WEIGHTS): value for name, value in state.items() if name.startswith(_WEIGHTS)}


def check_fits(module: nn.Module, state: Mapping[str, Tensor], left_out: frozenset[str]) -> None:
    """Raises InputError where what state_of gave, but for `left_out`, is of another module. module: as `wrap` takes
    it."""
    own = {name: tuple(value.shape) for name, value in module.state_dict().items() if name not in left_out}
    given = {name: tuple(value.shape) for name, value in weights_in(state).items()}
    for name in sorted(own.keys() | given.keys()):
        if own.get(name) != given.get(name):
            want, got = own.get(name, "absent"), given.get(name, "none")
            raise InputError(f"the checkpoint must be of this model, in which {name} is {want}, got {got}")


def load_state(module: nn.Module, optimiser: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Put back what state_of gave."""
    load_weights(module, weights_in(state))
    moments: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        if name.startswith(_MOMENTS):
            key, _, parameter = name.removeprefix(_MOMENTS).partition(".")
            moments.setdefault(parameter, {})[key] = value
    # Asking for the groups, which are the config's, fills a fresh optimiser with moments; those are replaced then.
    groups = get_optimizer_state_dict(module, optimiser, options=_SAVE)["param_groups"]
    found = {"state": moments, "param_groups": groups}
    set_optimizer_state_dict(module, optimiser, found, options=_LOAD)  # type: ignore[arg-type]
