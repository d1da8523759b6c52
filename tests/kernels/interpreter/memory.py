"""Watches every load and store of an interpreted kernel.

Each active lane must fall on an element of a tensor that was passed to the launch (its view, not its storage), and two
programs must not touch an address that one of them writes: on a GPU they would race, while the interpreter runs them
one after the other and gets it right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from triton.runtime import interpreter


class MemoryFault(AssertionError):
    """A kernel left its tensors or raced with itself."""


class Watch:
    """The tensors of the launch that is running, and who wrote where."""

    def __init__(self, tensors: list[torch.Tensor]) -> None:
        self._known = np.unique(np.concatenate([_addresses(t) for t in tensors] or [np.empty(0, np.int64)]))
        self._owner = np.full(len(self._known), -1, np.int64)
        self._writable = np.zeros(len(self._known), bool)

    def check(self, pointers: Any, mask: Any, program: int, *, writes: bool) -> None:
        lanes = np.broadcast_to(mask.data.astype(bool), pointers.data.shape)
        addresses = pointers.data.astype(np.int64)[lanes].ravel()
        if not len(addresses):
            return
        place = np.searchsorted(self._known, addresses)
        known = place < len(self._known)
        known[known] = self._known[place[known]] == addresses[known]
        if not known.all():
            what = "store" if writes else "load"
            raise MemoryFault(f"{what} outside of every tensor: {int((~known).sum())} of {len(known)} lanes")
        others = (self._owner[place] != -1) & (self._owner[place] != program)
        if others.any():
            raise MemoryFault(f"programs race: {int(others.sum())} addresses were written by another program")
        if writes:
            self._owner[place] = program


def _addresses(tensor: torch.Tensor) -> Any:
    """Of every element of the view."""
    index = np.zeros((), np.int64)
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        index = index[..., None] + np.arange(size, dtype=np.int64) * stride
    return tensor.data_ptr() + index.ravel() * tensor.element_size()


_running: list[Watch] = []


def install() -> None:
    """Patches the interpreter of this process, once."""
    if getattr(interpreter, "_vljepa_memory", False):
        return
    interpreter._vljepa_memory = True
    builder, executor = interpreter.InterpreterBuilder, interpreter.GridExecutor
    load, store, call = builder.create_masked_load, builder.create_masked_store, executor.__call__

    def program(self: Any) -> int:
        x, y, z = self.grid_idx
        return int(x) + (int(y) << 20) + (int(z) << 40)

    def create_masked_load(self: Any, pointers: Any, mask: Any, *rest: Any) -> Any:
        if _running:
            _running[-1].check(pointers, mask, program(self), writes=False)
        return load(self, pointers, mask, *rest)

    def create_masked_store(self: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        if _running:
            _running[-1].check(pointers, mask, program(self), writes=True)
        return store(self, pointers, value, mask, *rest)

    def launched(self: Any, *arguments: Any, **options: Any) -> Any:
        _running.append(Watch([a for a in arguments if isinstance(a, torch.Tensor)]))
        try:
            return call(self, *arguments, **options)
        finally:
            _running.pop()

    builder.create_masked_load, builder.create_masked_store = create_masked_load, create_masked_store
    executor.__call__ = launched
