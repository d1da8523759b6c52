"""Cubins for one architecture with what is needed to launch them from C++, without Triton and without Python.

    kernels.json     of each: file, entry, shared memory, threads, constants that were compiled in, grid, parameters
    kernels.hpp      the same as a table for C++
    launcher.hpp     loads and launches them through the CUDA driver API; header-only
    *.cubin

Compiled for the shapes of `workloads`; which sizes are free and which are compiled in, the constants say. Never run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from vljepa_edge.errors import InputError, KernelError
from vljepa_edge.kernels.launch import Launch
from vljepa_edge.kernels.tools import aot, workloads
from vljepa_edge.kernels.tools.ptx import entry
from vljepa_edge.kernels.triton_or_none import triton
from vljepa_edge.support.folders import first_other, replacing_folder

FORMAT = 1
_INDEX = "kernels.json"
_LAUNCHER = Path(__file__).with_name("launcher.hpp")


def write_cubins(arch: int, out: Path) -> dict[str, Any]:
    """Compiles the kernels of inference for sm_`arch` into the folder `out`; returns what kernels.json has.

    The folder appears, or takes the place of one that this wrote before, when all is compiled. Raises InputError for an
    unknown architecture and for a folder that holds anything else, KernelError without a compiler and when it can't be
    written.
    """
    if arch not in aot.ARCHS:
        raise InputError(f"there are no tiles for sm_{arch}; use one of {', '.join(map(str, aot.ARCHS))}")
    aot.require_compiler()
    target = Path(os.path.realpath(out))
    try:
        with replacing_folder(target, _own_files(target)) as part:
            rows = [
                _write(label, launch, arch, part)
                for workload in workloads.INFERENCE
                for label, launch in workloads.launches(arch, workload).items()
            ]
            data = {"format": FORMAT, "arch": arch, "triton": triton.__version__, "kernels": rows}
            (part / "kernels.hpp").write_text(_table(rows), "utf-8")
            shutil.copyfile(_LAUNCHER, part / _LAUNCHER.name)
            (part / _INDEX).write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    except OSError as error:
        raise KernelError(f"{out} can't be written: {error.strerror or error}") from error
    return data


def _own_files(target: Path) -> set[str]:
    """The files that an earlier call wrote into the folder. Raises InputError when it holds any other, OSError."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return set()
    try:
        data = json.loads((target / _INDEX).read_text("utf-8"))
        cubins = {f"{row['name']}.cubin" for row in data["kernels"] if row["file"] == f"{row['name']}.cubin"}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{target} exists and holds no kernels, so it is left alone; name another folder") from None
    own = {_INDEX, "kernels.hpp", _LAUNCHER.name, *(name for name in cubins if re.fullmatch(r"\w+\.cubin", name))}
    other = first_other(target, own)
    if other is not None:
        raise InputError(f"{target} holds {other}, which is not of its kernels, so it is left alone; move that file")
    return own


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
