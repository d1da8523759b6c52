"""The ranks of a torchrun, and a model laid out on them: one process, DDP, or FSDP2.

FSDP2 shards each layer, and the rest as one, on the model itself; nothing else, since layers and the predictor read
parameters of modules whose forward is not running (`stack.norm.weight`). What needs parameters must run inside the
model's own forward.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.utils.checkpoint import checkpoint

from vljepa_edge.errors import InputError
from vljepa_edge.training.config import Parallel

_TIMEOUT = timedelta(days=1)
"""Ranks wait for the one that has most to do where features are computed. Of one that died torchrun ends the others."""


@dataclass(frozen=True)
class Place:
    """Where this process stands: its rank of `ranks`, and its device."""

    rank: int
    ranks: int
    device: torch.device


@contextmanager
def init_parallel(device: str) -> Iterator[Place]:
    """This process's place among those that torchrun started, alone without it. device: "cpu" or "cuda".

    The process group is there inside: gloo on CPUs, nccl on GPUs, of which each process takes the one of its
    LOCAL_RANK.
    Raises InputError for a GPU that isn't here, and for an environment that torchrun did not make.
    """
    rank, count, local = (_from_environment(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if device not in ("cpu", "cuda"):
        raise InputError(f"device must be cpu or cuda, not {device!r}")
    if device == "cuda" and torch.cuda.device_count() <= (local or 0):
        raise InputError(f"process {local or 0} of this machine has no GPU: there are {torch.cuda.device_count()}")
    place = torch.device("cuda", local or 0) if device == "cuda" else torch.device("cpu")
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if rank is None and count is None:
        yield Place(0, 1, place)
        return
    if rank is None or count is None or local is None:
        raise InputError("RANK, WORLD_SIZE and LOCAL_RANK are set together: start with torchrun, or unset them")
    dist.init_process_group(
        "nccl" if device == "cuda" else "gloo", timeout=_TIMEOUT, device_id=place if device == "cuda" else None
    )
    try:
        yield Place(rank, count, place)
    finally:
        dist.destroy_process_group()


def _from_environment(name: str) -> int | None:
    value = os.environ.get(name)
    if value is None:
        return None
    if not value.isdecimal():
        raise InputError(f"{name} must be a number, got {value!r}")
    return int(value)


def wrap(model: nn.Module, parallel: Parallel, place: Place) -> nn.Module:
    """The model on its device, laid out over the ranks, with the first rank's weights on all of them.

    Called again, for a next stage, it starts from `unwrapped`. Layers make their activations again in the backward pass
    where the config says so and anything in them learns, and are compiled one by one. bf16 is autocast; under FSDP2
    layers are also gathered in bf16, and gradients summed in fp32. DDP allows for parameters without a gradient: the
    projection of the query has none in the first stage.

    Raises InputError for ddp and fsdp2 without torchrun, and for `none` with several ranks.
    """
    if parallel.mode != "none" and not dist.is_initialized():
        raise InputError(f"parallel.mode {parallel.mode} needs torchrun; one process alone takes mode none")
    if parallel.mode == "none" and place.ranks > 1:
        raise InputError(f"{place.ranks} ranks with parallel.mode none would each train alone; take ddp or fsdp2")
    model = model.to(place.device)
    blocks = layers(model)
    for layer in blocks:
        _set_forward(layer, torch.compile(_forward_of(layer)) if parallel.compile else _forward_of(layer))
        if parallel.checkpoint_activations and any(p.requires_grad for p in layer.parameters()):
            _set_forward(layer, partial(checkpoint, layer.forward, use_reentrant=False))
    _set_forward(
        model, partial(_in_bf16, _forward_of(model), place.device.type) if parallel.bf16 else _forward_of(model)
    )
    if parallel.mode == "ddp":
        return DistributedDataParallel(
            model,
            device_ids=[place.device] if place.device.type == "cuda" else None,
            find_unused_parameters=True,
            forward_sync_buffers=any(True for _ in running_statistics(model)),
            gradient_as_bucket_view=True,
        )
    if parallel.mode == "fsdp2":
        _shard(model, blocks, parallel, place)
    return model


def unwrapped(model: nn.Module) -> nn.Module:
    """The module that `wrap` was given."""
    inner: nn.Module = model.module if isinstance(model, DistributedDataParallel) else model
    return inner


def layers(model: nn.Module) -> list[nn.Module]:
    """What makes up the bulk of a model, again and again: the modules of each list named `layers` or `layer`."""
    found = []
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and name.rpartition(".")[2] in ("layers", "layer"):
            found += list(module)
    return found


@contextmanager
def gradient_sync(model: nn.Module, wanted: bool) -> Iterator[None]:
    """Whether a forward and backward pass inside ends with the mean of gradients over ranks, or adds them up here for
    one that does."""
    if isinstance(model, DistributedDataParallel) and not wanted:
        with model.no_sync():
            yield
        return
    for module in model.modules():
        if isinstance(module, FSDPModule):  # one that nothing runs has no gradient to add up, and fails when asked to
            learns = any(p.requires_grad for p in module.parameters())
            module.set_requires_gradient_sync(wanted or not learns, recurse=False)
    yield


def clip_gradients(parameters: Iterable[Tensor], most: float) -> float:
    """Scale the gradients down to a norm of `most`, of all together, and return what the norm was: the same on every
    rank, also of sharded gradients, of which each rank holds a part."""
    learning = [p for p in parameters if p.grad is not None]
    sharded = [p for p in learning if isinstance(p, DTensor)]
    whole = [p for p in learning if not isinstance(p, DTensor)]
    norms = []
    if sharded:
        norm: Any = get_total_norm([p.grad for p in sharded if p.grad is not None])
        norms.append(norm.full_tensor())
    if whole:
        norms.append(get_total_norm([p.grad for p in whole if p.grad is not None]))
    if not norms:
        return 0.0
    total = torch.stack(norms).norm()
    for group in (sharded, whole):
        clip_grads_with_norm_(group, most, total)
    return float(total)


def mean_over_ranks(value: Tensor) -> Tensor:
    """The mean of a number or tensor that every rank has, on every rank; NaN everywhere where one has it."""
    if not dist.is_initialized():
        return value.detach()
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def max_over_ranks(values: Tensor) -> Tensor:
    """The highest of numbers that every rank has, one by one, on every rank."""
    highest = values.detach().clone()
    if dist.is_initialized():
        dist.all_reduce(highest, dist.ReduceOp.MAX)
    return highest


def _shard(model: nn.Module, blocks: list[nn.Module], parallel: Parallel, place: Place) -> None:
    """In place. A model that is sharded already stays as it is."""
    if isinstance(model, FSDPModule):
        return
    for tensor in (*model.parameters(), *model.buffers()):
        dist.broadcast(tensor.detach(), 0)
    mesh = init_device_mesh(place.device.type, (place.ranks,))
    of_rest = of_layers = MixedPrecisionPolicy(cast_forward_inputs=False)  # rotary tables stay in fp32
    if parallel.bf16:
        of_layers = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    for layer in blocks:
        fully_shard(layer, mesh=mesh, mp_policy=of_layers)
    fully_shard(model, mesh=mesh, mp_policy=of_rest)


def running_statistics(model: nn.Module) -> Iterator[Tensor]:
    """The buffers that forward passes change."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            yield from module.buffers()


def _forward_of(module: nn.Module) -> Callable[..., Any]:
    """As its class has it, whatever was put before it."""
    forward: Callable[..., Any] = type(module).forward.__get__(module)
    return forward


def _set_forward(module: nn.Module, forward: Callable[..., Any]) -> None:
    """Hooks, names of parameters and the class stay as they are."""
    module.forward = forward


def _in_bf16(forward: Callable[..., Any], device: str, *arguments: Any, **named: Any) -> Any:
    with torch.autocast(device, torch.bfloat16):
        return forward(*arguments, **named)
