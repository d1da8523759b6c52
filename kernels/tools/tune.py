"""Times the candidate tiles of every kernel on the GPU at hand and writes the table that its launchers then prefer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from vljepa_edge.errors import KernelError
from vljepa_edge.kernels import tiles
from vljepa_edge.kernels.launch import Launch, arch_of, launch, recorded
from vljepa_edge.kernels.tools import workloads
from vljepa_edge.kernels.triton_or_none import HAS_TRITON
from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.install import install_extra


class Timing(NamedTuple):
    """The best tiles of one line of the table, and how long they and the shipped ones take, in milliseconds."""

    name: str
    shipped_ms: float
    best_ms: float
    best: tiles.Tiles


def require_gpu() -> torch.device:
    """The current CUDA device. Raises KernelError without one that the kernels run on."""
    if not HAS_TRITON:
        raise KernelError(f"tuning needs Triton; on Linux: {install_extra('kernels')}")
    if not torch.cuda.is_available() or torch.version.hip is not None:
        raise KernelError("tuning needs an NVIDIA GPU and a PyTorch built for CUDA; this machine has none")
    device = torch.device("cuda", torch.cuda.current_device())
    tiles.shipped("patchify", arch_of(torch.empty(0, device=device)))
    return device


def tune(
    report: Callable[[Timing], None], skip: Callable[[KernelError], None], *, training: bool = False
) -> tuple[Path, list[Timing]]:
    """Times each workload's launches with every candidate; returns the table's file and what was found.

    Each line is in the table as soon as it is found; one that can't be timed here, for want of memory, is skipped. What
    an earlier run found of other lines stays. training: gradients and the loss, too. Raises KernelError without a GPU,
    and when nothing can be timed.
    """
    device = require_gpu()
    arch = arch_of(torch.empty(0, device=device))
    name_of_device = torch.cuda.get_device_name(device)
    path, table = tiles.table_path(name_of_device), _table_of(name_of_device)
    found: dict[str, Timing] = {}
    refused: dict[str, KernelError] = {}
    for workload in workloads.WORKLOADS if training else workloads.INFERENCE:
        for name in _lines(workload, arch):
            if name in found or name in refused:
                continue
            try:
                timing = found[name] = _best(workload, name, arch, device)
            except KernelError as error:
                refused[name] = error
                skip(error)
                continue
            table.pop(name, None)
            if timing.best_ms < timing.shipped_ms:
                table[name] = timing.best
            write_table(path, name_of_device, table)
            tiles.own_table.cache_clear()
            report(timing)
    if not found:
        raise next(iter(refused.values()))
    return path, list(found.values())


def _table_of(device: str) -> dict[str, tiles.Tiles]:
    """A copy of what is known of a device; nothing where its table is broken."""
    try:
        return dict(tiles.own_table(device))
    except KernelError:
        return {}


def write_table(path: Path, device: str, table: dict[str, tiles.Tiles]) -> None:
    """Write completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(json.dumps({"device": device, "tiles": tiles.as_json(table)}, indent=1) + "\n", "utf-8")


def _lines(workload: str, arch: int) -> list[str]:
    """The lines of the table that a workload's launchers look up."""
    looked: list[str] = []

    def note(name: str, line: tiles.Tiles) -> tiles.Tiles:
        looked.append(name)
        return line

    with _lookups(note):
        workloads.launches(arch, workload)
    return list(dict.fromkeys(looked))


def _best(workload: str, name: str, arch: int, device: torch.device) -> Timing:
    times: list[tuple[float, tiles.Tiles]] = []
    for candidate in tiles.candidates(name, arch):
        made = _with(candidate, workload, name, arch)
        try:
            times.append((sum(_milliseconds(one, device) for one in made), candidate))
        except Exception as error:  # too much shared memory, too many registers: a candidate that is none
            if not times:
                raise KernelError(f"the shipped tiles of {name} don't run on sm_{arch}: {error}") from error
    best_ms, best = min(times, key=lambda timed: timed[0])
    return Timing(name, times[0][0], best_ms, best)


def _with(candidate: tiles.Tiles, workload: str, name: str, arch: int) -> list[Launch]:
    """The workload's launches with the candidate in place of the line."""
    with _lookups(lambda asked, line: candidate if asked == name else line), recorded(arch) as made:
        workloads.WORKLOADS[workload](workloads.SMALL_BATCH)
    return made


def _milliseconds(made: Launch, device: torch.device) -> float:
    from triton.testing import do_bench

    arguments = [_filled(a, device) if isinstance(a, torch.Tensor) else a for a in made.arguments]
    return float(do_bench(lambda: launch(made.kernel, made.grid, *arguments, **made.config)))


def _filled(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor on the device for one that has only a shape. Lengths are full, the rest is small noise."""
    storage = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    if tensor.dtype == torch.int32:
        flat = torch.full((storage,), workloads.TOKENS, dtype=torch.int32, device=device)
    elif tensor.dtype.is_floating_point:
        flat = torch.randn(storage, device=device, dtype=tensor.dtype)
    else:
        flat = torch.randint(0, 100, (storage,), device=device).to(tensor.dtype)
    return flat.as_strided(tensor.shape, tensor.stride())


@contextmanager
def _lookups(change: Callable[[str, tiles.Tiles], tiles.Tiles]) -> Iterator[None]:
    """Inside, `tiles.shipped` returns what `change` makes of the name and the line."""
    shipped: Any = tiles.shipped
    tiles.shipped = lambda name, arch: change(name, shipped(name, arch))
    try:
        yield
    finally:
        tiles.shipped = shipped
