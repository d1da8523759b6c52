"""The static gate: what the compiler makes of every shipped kernel on every architecture, against a committed file.

    python -m vljepa_edge.kernels.tools.gate --check     # exit 1 and a line for each kernel, architecture and field
    python -m vljepa_edge.kernels.tools.gate --write     # compile again and rewrite gate.json

Hard limits hold whatever the file says: no spill, no local memory, shared memory within the architecture, the MMAs of
the hot loop doing exactly the algebra's work, 128-bit loads. Ratchets hold against the file: registers, instructions
of the loop, programs an SM, and the tile sizes themselves, so that none of them changes unnoticed. Nothing is
run, so nothing is said of times.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from vljepa_edge.errors import KernelError
from vljepa_edge.kernels.launch import Launch
from vljepa_edge.kernels.tools import aot, sass, workloads
from vljepa_edge.kernels.tools.occupancy import most_shared, programs_per_sm
from vljepa_edge.kernels.triton_or_none import triton
from vljepa_edge.support.atomic import replacing

COMMITTED = Path(__file__).with_name("gate.json")

NARROW_LOADS = {"patchify_kernel": "bytes three apart, met in L1", "mean_kernel": "a few kB in all"}
"""Kernels that need no 128-bit load, and why."""

_MACS: dict[str, Callable[[dict[str, int]], int]] = {
    "bidirectional_attention.forward_kernel": lambda c: 2 * c["BLOCK_M"] * c["BLOCK_N"] * c["HEAD_DIM"],
    "attention_backward.key_gradient_kernel": lambda c: 4 * c["BLOCK_M"] * c["BLOCK_N"] * c["HEAD_DIM"],
    "attention_backward.query_gradient_kernel": lambda c: 3 * c["BLOCK_M"] * c["BLOCK_N"] * c["HEAD_DIM"],
    "int8_linear.linear_kernel": lambda c: (1 + c["SWIGLU"]) * c["BLOCK_M"] * c["BLOCK_N"] * c["BLOCK_K"],
    "info_nce.lse_kernel": lambda c: c["BLOCK_M"] * c["BLOCK_N"] * c["BLOCK_K"],
    "info_nce.gradient_kernel": lambda c: c["BLOCK_M"] * c["BLOCK_N"] * c["BLOCK_K"],
}
"""Multiply-adds of one turn of the hot loop, by kernel."""

Row = dict[str, Any]
Table = dict[str, dict[str, Row]]


def measure(launch: Launch, arch: int) -> Row:
    """Compiles the launch for sm_`arch` and reads its cubin. Raises KernelError where that fails."""
    kernel = aot.compiled(launch, arch)
    found = _facts(kernel.asm["cubin"])
    warps, shared = int(kernel.metadata.num_warps), int(kernel.metadata.shared)
    config = {name: value for name, value in launch.config.items() if isinstance(value, int)}
    return {
        **{name.lower(): int(value) for name, value in config.items()},
        **found._asdict(),
        "shared": shared,
        "programs": programs_per_sm(arch, found.registers, shared, warps, int(kernel.metadata.tmem_size)),
    }


def hard_limits(label: str, arch: int, row: Row) -> Iterator[str]:
    """What is wrong with a row by itself."""
    name = label.partition(": ")[2].partition(" #")[0]
    where = f"{label} sm_{arch}"
    for field in ("spills", "local", "stack"):
        if row[field]:
            yield f"{where} {field}: {row[field]}, must be 0"
    if row["shared"] > most_shared(arch):
        yield f"{where} shared: {row['shared']} bytes, at most {most_shared(arch)}"
    if row["programs"] < 1:
        yield f"{where} programs: none fits an SM"
    if not row["wide_loads"] and name.rpartition(".")[2] not in NARROW_LOADS:
        yield f"{where} wide_loads: none of {row['loads']} loads has 128 bits"
    if name in _MACS and row["mma"] and not row["mma"].startswith("UTC"):
        teams = row["num_warps"] // 4 if "GMMA" in row["mma"] else row["num_warps"]
        done = row["loop_macs"] * teams
        due = _MACS[name]({key.upper(): value for key, value in row.items()})
        due *= 3 if "TF32" in row["mma"] else 1
        if done != due:
            yield f"{where} loop_macs: {done} by {row['loop_mma']} {row['mma']}, the algebra has {due}"
    elif name in _MACS and not row["mma"]:
        yield f"{where} mma: no tensor-core instruction"


def ratchets(label: str, arch: int, row: Row, before: Row | None) -> Iterator[str]:
    """What got worse than the committed row, or differs where it must not."""
    where = f"{label} sm_{arch}"
    if before is None:
        yield f"{where}: not in {COMMITTED.name}; run with --write"
        return
    for field in ("registers", "loop"):
        if row[field] > before[field]:
            yield f"{where} {field}: {row[field]}, was {before[field]}"
    if row["programs"] < before["programs"]:
        yield f"{where} programs: {row['programs']}, was {before['programs']}"
    for field in sorted(set(row) | set(before)):
        chosen = field.startswith(("block", "num_", "rows", "span", "group", "width"))
        if chosen and row.get(field) != before.get(field):
            yield f"{where} {field}: {row.get(field)}, was {before.get(field)}"


def check(table: Table, committed: Table) -> list[str]:
    """Every violation, hard limits first; a committed row that is no longer made is one too."""
    rows = [(label, int(arch), row) for label, by_arch in table.items() for arch, row in by_arch.items()]
    wrong = [line for label, arch, row in rows for line in hard_limits(label, arch, row)]
    for label, arch, row in rows:
        wrong += ratchets(label, arch, row, committed.get(label, {}).get(str(arch)))
    archs = {str(arch) for _, arch, _ in rows}
    for label, by_arch in committed.items():
        for gone in sorted(archs & set(by_arch) - set(table.get(label, {}))):
            wrong.append(f"{label} sm_{gone}: in {COMMITTED.name}, but no longer made; run with --write")
    return wrong


def measure_all(archs: Iterable[int]) -> Table:
    """Every workload on every architecture, compiled on all cores; equal ones once (Triton's cache)."""
    tasks = [(arch, name) for arch in archs for name in workloads.WORKLOADS]
    cores = len(os.sched_getaffinity(0))
    table: Table = {}
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        for (arch, _), rows in zip(tasks, pool.map(_measure_workload, *zip(*tasks, strict=True)), strict=True):
            for label, row in rows.items():
                table.setdefault(label, {})[str(arch)] = row
    return table


def _measure_workload(arch: int, name: str) -> dict[str, Row]:
    return {label: measure(launch, arch) for label, launch in workloads.launches(arch, name).items()}


def _facts(cubin: bytes) -> sass.Facts:
    """From the disassembler, kept beside Triton's cache: a listing takes as long as compiling a small kernel."""
    kept = Path(triton.knobs.cache.dir) / "vljepa-facts" / f"{_version()}-{hashlib.sha256(cubin).hexdigest()}.json"
    if kept.is_file():
        return sass.Facts(**json.loads(kept.read_text()))
    found = sass.facts(cubin, Path(triton.__file__).parent / "backends" / "nvidia" / "bin")
    kept.parent.mkdir(parents=True, exist_ok=True)
    with replacing(kept) as part:
        part.write_text(json.dumps(found._asdict()))
    return found


def _version() -> str:
    """Of the reader: what was kept by an older one is read again."""
    return hashlib.sha256(Path(sass.__file__).read_bytes()).hexdigest()[:12]


def main(arguments: list[str] | None = None) -> int:
    """0 when nothing is wrong, 1 with a line for each violation, 2 when kernels can't be compiled here."""
    parser = argparse.ArgumentParser(
        prog="python -m vljepa_edge.kernels.tools.gate", description=__doc__.splitlines()[0]
    )
    doing = parser.add_mutually_exclusive_group(required=True)
    doing.add_argument(
        "--check", action="store_true", help=f"compare with {COMMITTED.name}, which must have every architecture"
    )
    doing.add_argument("--write", action="store_true", help=f"rewrite {COMMITTED.name}")
    parser.add_argument("--arch", type=int, action="append", choices=aot.ARCHS, help="only this one; may be repeated")
    options = parser.parse_args(arguments)
    try:
        aot.require_compiler()
        data = json.loads(COMMITTED.read_text("utf-8")) if COMMITTED.is_file() else {"kernels": {}}
        table = measure_all(options.arch or aot.ARCHS)
    except KernelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.write:
        wrong = [w for label, row in table.items() for a, r in row.items() for w in hard_limits(label, int(a), r)]
        kept = {label: {**data["kernels"].get(label, {}), **rows} for label, rows in table.items()}
        data = {"triton": triton.__version__, "kernels": kept}
        with replacing(COMMITTED) as part:
            part.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", "utf-8")
    else:
        wrong = check(table, data["kernels"])
    for line in wrong:
        print(line)
    count = sum(map(len, table.values()))
    print(f"{count} kernels compiled, {len(wrong)} violations (Triton {triton.__version__}, nothing was run)")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
