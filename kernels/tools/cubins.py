"""Cubins for one architecture with what is needed to launch them from C++, without Triton and without Python.

    kernels.json     of each: file, entry, shared memory, threads, constants that were compiled in, grid, parameters
    kernels.hpp      the same as a table for C++
    launcher.hpp     loads and launches them through the CUDA driver API; header-only
    *.cubin

Compiled for the shapes of `workloads`; which sizes are free and which are compiled in, the constants say. Never run.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from vljepa_edge.errors import InputError
from vljepa_edge.kernels.launch import Launch
from vljepa_edge.kernels.tools import aot, workloads
from vljepa_edge.kernels.tools.ptx import entry
from vljepa_edge.kernels.triton_or_none import triton

FORMAT = 1
INFERENCE = tuple(name for name in workloads.WORKLOADS if "training" not in name and "info_nce" not in name)
_LAUNCHER = Path(__file__).with_name("launcher.hpp")


def write_cubins(arch: int, out: Path) -> dict[str, Any]:
    """Compiles the kernels of inference for sm_`arch` into the folder `out`; returns what kernels.json has.

    Raises InputError for an unknown architecture, KernelError without a compiler.
    """
    if arch not in aot.ARCHS:
        raise InputError(f"there are no tiles for sm_{arch}; legal are {', '.join(map(str, aot.ARCHS))}")
    aot.require_compiler()
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        _write(label, launch, arch, out)
        for workload in INFERENCE
        for label, launch in workloads.launches(arch, workload).items()
    ]
    data = {"format": FORMAT, "arch": arch, "triton": triton.__version__, "kernels": rows}
    (out / "kernels.hpp").write_text(_table(rows), "utf-8")
    shutil.copyfile(_LAUNCHER, out / _LAUNCHER.name)
    (out / "kernels.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    return data


def _write(label: str, launch: Launch, arch: int, out: Path) -> dict[str, Any]:
    kernel = aot.compiled(launch, arch)
    made = entry(kernel)
    name = re.sub(r"\W+", "_", label)
    (out / f"{name}.cubin").write_bytes(kernel.asm["cubin"])
    options = {"num_warps", "num_stages"}
    return {
        "name": name,
        "file": f"{name}.cubin",
        "entry": made.name,
        "shared_bytes": int(kernel.metadata.shared),
        "threads": 32 * int(kernel.metadata.num_warps),
        "constants": {k: int(v) for k, v in launch.config.items() if k not in options},
        "example_grid": list(launch.grid),
        "grid": _grid_rule(launch),
        "parameters": [{"name": p.name, "type": p.type, "cpp": p.cpp} for p in made.parameters],
        "hidden_null_pointers": made.hidden,
    }


def _grid_rule(launch: Launch) -> str:
    """How many programs there are, as the kernel's docstring says it."""
    rule: str = re.findall(r"Grid \((.*?)\)[.,;]", " ".join((launch.kernel.fn.__doc__ or "").split()))[0]
    return rule


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        f'    {{"{row["name"]}", "{row["file"]}", "{row["entry"]}", {row["shared_bytes"]}u, {row["threads"]}u, '
        f"{len(row['parameters'])}u, {row['hidden_null_pointers']}u}},"
        for row in rows
    ]
    head = '// Written by `vljepa kernels build`.\n#pragma once\n\n#include "launcher.hpp"\n\n'
    body = "inline constexpr Description all[] = {\n" + "\n".join(lines) + "\n};\n"
    return f"{head}namespace vljepa::kernels {{\n\n{body}\n}}  // namespace vljepa::kernels\n"
