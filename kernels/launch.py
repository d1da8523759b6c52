"""How every kernel is launched, and who decides between a kernel and PyTorch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vljepa_edge.errors import InputError
from vljepa_edge.kernels.triton_or_none import HAS_TRITON

VARIABLE = "VLJEPA_KERNELS"
DEFAULT_ARCH = 80
"""Whose tiles tensors off a GPU get: in the interpreter any will do."""

OLDEST = (8, 0)
"""The compute capability from which on there are tiles: bf16 and copies past the registers begin there."""


class Launch(NamedTuple):
    """One launch of a kernel as a launcher meant it: the arguments in order, compile-time ones and options by name."""

    kernel: Any
    grid: tuple[int, int, int]
    arguments: tuple[Any, ...]
    config: dict[str, Any]


_sink: ContextVar[Callable[[Launch], None] | None] = ContextVar("vljepa_launches", default=None)
_arch: ContextVar[int | None] = ContextVar("vljepa_arch", default=None)


def takes_kernel(*tensors: Tensor | None) -> bool:
    """Whether these tensors go to a Triton kernel: all on a CUDA device of sm_80 or
    newer, Triton there, no ONNX export going on.

    VLJEPA_KERNELS=off forces PyTorch, `auto` is the default. Raises InputError for anything else in it.
    """
    wish = os.environ.get(VARIABLE, "auto")
    if wish not in ("auto", "off"):
        raise InputError(f"{VARIABLE} must be 'auto' or 'off', got {wish!r}")
    given = [t for t in tensors if t is not None]
    return (
        wish == "auto"
        and HAS_TRITON
        and all(t.is_cuda for t in given)
        and torch.version.hip is None
        and torch.cuda.get_device_capability(given[0].device) >= OLDEST
        and not torch.onnx.is_in_onnx_export()
    )


def arch_of(tensor: Tensor) -> int:
    """The compute capability of the tensor's device as one number, 87 for sm_87."""
    chosen = _arch.get()
    if chosen is not None:
        return chosen
    if not tensor.is_cuda:
        return DEFAULT_ARCH
    major, minor = torch.cuda.get_device_capability(tensor.device)
    return 10 * major + minor


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **config: Any) -> None:
    """Launches `kernel` on the device of its first tensor. A grid without programs launches nothing."""
    x, y, z = (*grid, 1, 1)[:3]
    whole = (x, y, z)
    sink = _sink.get()
    if sink is not None:
        sink(Launch(kernel, whole, arguments, config))
    elif 0 not in whole:
        place = next(a for a in arguments if isinstance(a, Tensor))
        with torch.cuda.device_of(place):
            kernel[whole](*arguments, **config)


@contextmanager
def recorded(arch: int) -> Iterator[list[Launch]]:
    """Inside, launchers take the tiles of `arch` and their launches are kept in the list instead of being made."""
    launches: list[Launch] = []
    tokens = _sink.set(launches.append), _arch.set(arch)
    try:
        yield launches
    finally:
        _sink.reset(tokens[0])
        _arch.reset(tokens[1])
