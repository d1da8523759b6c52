"""Tile sizes: a table for each architecture with a reason for each line, and a user's own measured table before it.

Nothing is timed when a program starts. The shipped lines were chosen by what the compiler makes of them (registers,
spills, instructions of the loop: `gate.json`) and never timed. `vljepa kernels tune` times the candidates on a GPU and
writes a table for that device, which is then preferred; `candidates` says what it tries.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from vljepa_edge.errors import KernelError
from vljepa_edge.kernels.launch import arch_of
from vljepa_edge.support.cache import cache_dir

FOLDER_VARIABLE = "VLJEPA_KERNELS_TABLES"
ANY = 0
"""Stands for every architecture."""


@dataclass(frozen=True)
class Tiles:
    """Block sizes in the order that the kernel names them (unused ones 0), warps of a program, stages of its loop."""

    block_m: int
    block_n: int = 0
    block_k: int = 0
    warps: int = 4
    stages: int = 2
    why: str = ""

    def options(self, *names: str) -> dict[str, int]:
        """As keyword arguments of a launch."""
        sizes = dict(zip(names, (self.block_m, self.block_n, self.block_k), strict=False))
        return {**sizes, "num_warps": self.warps, "num_stages": self.stages}


def key(operation: str, *details: int) -> str:
    """The name of a line: the operation and what its best tiles depend on, as in "attention_forward/64/16"."""
    return "/".join((operation, *map(str, details)))


def bits(tensor: Tensor) -> int:
    """16 or 32: how wide the kernel's inputs are."""
    return 8 * tensor.element_size()


_ROWS_WHY = "4096 values a program, at most 32 a thread: up to four 128-bit loads in flight"
_BACKWARD_WHY = "a row, its gradient and its part of dweight in registers at once: 16 values of each a thread"
_WIDTHS = tuple(2**i for i in range(15))


def _rows(values: int, per_thread: int, why: str, operation: str) -> dict[str, dict[int, Tiles]]:
    return {
        key(operation, width): {
            ANY: Tiles(max(1, values // width), warps=min(16, max(4, width // (32 * per_thread))), stages=1, why=why)
        }
        for width in _WIDTHS
    }


TABLE: dict[str, dict[int, Tiles]] = {
    "attention_forward/64/16": {
        80: Tiles(64, 64, why="345 instructions for 64 MMAs, three programs an SM; 128 x 64 saves 4 % and leaves one"),
        90: Tiles(128, 64, warps=8, stages=3, why="two warp groups share each block of keys"),
        100: Tiles(128, 64, stages=3, why="tcgen05 has 128 rows; 519 instructions where 64 rows take 378"),
        120: Tiles(64, 64, why="as on sm_80: the same MMA, and 100 kB of shared memory hold three programs"),
    },
    "attention_forward/128/16": {
        80: Tiles(128, 64, warps=8, why="64 x 64 on 4 warps spills 126 instructions; 16 rows a warp on 8 don't"),
        90: Tiles(128, 64, warps=8, stages=3, why="357 instructions for 12 warp-group MMAs, no spill"),
        100: Tiles(64, 64, why="128 rows on 4 warps spill 64 instructions"),
        120: Tiles(128, 64, warps=8, why="as on sm_80"),
    },
    "attention_forward/64/32": {
        80: Tiles(64, 16, why="three TF32 products a dot: 64 x 32 spills 95 instructions"),
    },
    "attention_rotate": {ANY: Tiles(64, stages=1, why="bound by memory: 128-bit loads of both halves")},
    "attention_delta": {ANY: Tiles(32, stages=1, why="bound by memory")},
    "attention_key_gradient/64/16": {
        80: Tiles(32, 64, why="64 x 64 spills 58 instructions; 32 queries at a time fit in 249 registers"),
    },
    "attention_key_gradient/128/16": {80: Tiles(32, 32, why="two accumulators of 128 channels")},
    "attention_query_gradient/64/16": {80: Tiles(64, 32, why="168 registers, three programs an SM")},
    "attention_query_gradient/128/16": {80: Tiles(32, 32, why="one accumulator of 128 channels beside q and dout")},
    **_rows(4096, 32, _ROWS_WHY, "rms_norm"),
    **_rows(1024, 16, _BACKWARD_WHY, "rms_norm_backward"),
    "swiglu": {ANY: Tiles(1024, stages=1, why="bound by memory: one 128-bit load of gate and of up")},
    "swiglu_backward": {ANY: Tiles(1024, stages=1, why="bound by memory, as forward")},
    **_rows(4096, 32, _ROWS_WHY, "pool_sum"),
    "pool_mean": {ANY: Tiles(256, stages=1, why="bound by launch: a few kB from L2")},
    "pool_project": {ANY: Tiles(16, 128, stages=2, why="E / 16 programs fill a GPU; W is read once")},
    "pool_unit": {ANY: Tiles(1, stages=1, why="bound by launch: one row a program")},
    **_rows(1, 32, "a token a program, its scale found in registers", "int8_quantise"),
    "int8_linear": {
        80: Tiles(64, 128, 64, why="two programs an SM with 64 accumulators a thread"),
        90: Tiles(128, 128, 128, warps=8, stages=3, why="integer warp-group MMA of 64 x 128"),
        100: Tiles(64, 128, 64, why="as on sm_80"),
    },
    "int8_linear_swiglu": {
        80: Tiles(64, 64, 64, why="two accumulators: half the columns of int8_linear"),
    },
    "info_nce/16": {80: Tiles(64, 64, 64, why="scores only, one accumulator")},
    "info_nce/32": {80: Tiles(32, 64, 32, why="three TF32 products a dot")},
    "info_nce_backward/16": {
        80: Tiles(32, 64, 64, why="scores and a block of the gradient at once"),
        100: Tiles(32, 64, 32, why="64 channels at once beside the keys spill 3 instructions"),
    },
    "info_nce_backward/32": {80: Tiles(64, 32, 32, why="three TF32 products a dot")},
    "patchify": {ANY: Tiles(512, stages=1, why="one channel of a 2 x 16 x 16 patch, 4 values a thread")},
}  # fmt: skip


def tiles(name: str, tensor: Tensor) -> Tiles:
    """The line `name` for the tensor's device: the user's own, or the shipped one of the newest architecture not newer.

    Raises KernelError where there is none.
    """
    if tensor.is_cuda:
        found = own_table(torch.cuda.get_device_name(tensor.device)).get(name)
        if found is not None:
            return found
    return shipped(name, arch_of(tensor))


def shipped(name: str, arch: int) -> Tiles:
    """The line of the table for sm_`arch`. Raises KernelError where there is none."""
    lines = TABLE.get(name, {})
    fitting = [known for known in lines if known <= arch]
    if not fitting:
        operation = name.partition("/")[0]
        known = sorted(line for line in TABLE if line.partition("/")[0] == operation)
        raise KernelError(f"there are no tiles of {name!r} for sm_{arch}; the name must be one of {known}")
    return lines[max(fitting)]


def candidates(name: str, arch: int) -> list[Tiles]:
    """What `vljepa kernels tune` times: the shipped line, larger blocks, more or fewer warps and stages."""
    base = shipped(name, arch)
    found = [base]
    for blocks in ((1, 1), (2, 1), (1, 2)):
        for warps in (base.warps // 2, base.warps, base.warps * 2):
            for stages in {base.stages, base.stages + 1} if base.stages > 1 else {1}:
                sizes = base.block_m * blocks[0], base.block_n * blocks[1]
                if 2 <= warps <= 8 and not (base.block_n == 0 and blocks[1] > 1):
                    tried = replace(base, block_m=sizes[0], block_n=sizes[1], warps=warps, stages=stages, why="")
                    if replace(base, why="") != tried:
                        found.append(tried)
    return found


def table_path(device: str) -> Path:
    """Where the measured table of a device is: in VLJEPA_KERNELS_TABLES, or in `kernels` of the user's cache."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return (
        Path(folder).expanduser() if folder else cache_dir() / "kernels"
    ) / f"{re.sub(r'[^A-Za-z0-9]+', '-', device)}.json"


@lru_cache(maxsize=8)
def own_table(device: str) -> dict[str, Tiles]:
    """The measured table of a device, empty if there is none. Raises KernelError for a broken one."""
    path = table_path(device)
    try:
        data = json.loads(path.read_text("utf-8"))
        return {name: Tiles(**line) for name, line in data["tiles"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise KernelError(f"{path} is no table of tiles: {error}; `vljepa kernels tune` writes a new one") from error


def as_json(table: dict[str, Tiles]) -> dict[str, dict[str, int | str]]:
    """A table as `own_table` reads it back."""
    return {name: asdict(line) for name, line in table.items()}
