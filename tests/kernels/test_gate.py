"""The static gate: what it refuses, and that every shipped kernel passes it, compiled as the JIT would."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import torch

from vljepa_edge.errors import KernelError
from vljepa_edge.kernels import aot, gate, sass, workloads
from vljepa_edge.kernels.tiles import TABLE

pytest.importorskip("triton")
FORWARD = "attention d64 fp16: bidirectional_attention.forward_kernel"


@pytest.fixture
def committed() -> gate.Table:
    """A copy of gate.json's rows."""
    table: gate.Table = json.loads(gate.COMMITTED.read_text("utf-8"))["kernels"]
    return table


def of(table: gate.Table, arch: str) -> gate.Table:
    return {label: {arch: dict(rows[arch])} for label, rows in table.items() if arch in rows}


def test_every_shipped_kernel_compiles_and_passes() -> None:
    """In a process of its own, against the committed file; compiled kernels stay in Triton's cache."""
    done = subprocess.run([sys.executable, "-m", "vljepa_edge.kernels.gate", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 violations" in done.stdout


def test_attention_on_orin_spills_nothing_and_its_loop_is_short(committed: gate.Table) -> None:
    row = committed[FORWARD]["87"]
    assert (row["spills"], row["local"], row["loop_mma"]) == (0, 0, 64)
    assert row["loop"] <= 356


def test_a_table_agrees_with_itself(committed: gate.Table) -> None:
    assert gate.check(of(committed, "87"), committed) == []


def test_no_committed_row_breaks_a_hard_limit(committed: gate.Table) -> None:
    rows = [(label, int(arch), row) for label, by_arch in committed.items() for arch, row in by_arch.items()]
    assert {arch for _, arch, _ in rows} >= {87, 90}
    assert [line for label, arch, row in rows for line in gate.hard_limits(label, arch, row)] == []


@pytest.mark.parametrize(
    ("field", "value"), [("block_n", 32), ("num_warps", 8), ("registers", 255), ("loop", 999), ("programs", 0)]
)
def test_a_change_for_the_worse_names_kernel_architecture_and_field(
    committed: gate.Table, field: str, value: int
) -> None:
    table = of(committed, "87")
    table[FORWARD]["87"][field] = value
    assert any(line.startswith(f"{FORWARD} sm_87 {field}: {value}") for line in gate.check(table, committed))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("spills", 3, "must be 0"),
        ("local", 16, "must be 0"),
        ("shared", 10**6, "at most"),
        ("loop_macs", 1, "the algebra has"),
        ("mma", "", "no tensor-core"),
        ("wide_loads", 0, "128 bits"),
    ],
)
def test_a_hard_limit_holds_whatever_the_file_says(committed: gate.Table, field: str, value: Any, message: str) -> None:
    table = of(committed, "87")
    table[FORWARD]["87"][field] = value
    assert any(f"sm_87 {field}: " in line and message in line for line in gate.check(table, table))


def test_rows_that_come_or_go_are_told(committed: gate.Table) -> None:
    table = of(committed, "87")
    fewer = {label: rows for label, rows in table.items() if label != FORWARD}
    assert gate.check(table, fewer) == [f"{FORWARD} sm_87: not in gate.json; run with --write"]
    assert gate.check(fewer, table) == [f"{FORWARD} sm_87: in gate.json, but no longer made; run with --write"]


def test_a_tile_size_changed_by_hand_fails_the_check(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The whole way, without compiling: the row that the change makes, from the launch that it makes."""
    from dataclasses import replace

    lines = TABLE["attention_forward/64/16"]
    monkeypatch.setitem(lines, 80, replace(lines[80], block_n=32))
    rows = json.loads(gate.COMMITTED.read_text("utf-8"))["kernels"]

    def measured(archs: Any) -> gate.Table:
        table = of(rows, "87")
        for label, launch in workloads.launches(87, "attention d64 fp16").items():
            table[label]["87"] |= {name.lower(): value for name, value in launch.config.items()}
        return table

    monkeypatch.setattr(gate, "measure_all", measured)
    assert gate.main(["--check", "--arch", "87"]) == 1
    assert f"{FORWARD} sm_87 block_n: 32, was 64" in capsys.readouterr().out


def test_programs_per_sm_are_limited_by_each_resource() -> None:
    assert gate.programs_per_sm(87, 32, 0, 4) == 12  # warps
    assert gate.programs_per_sm(80, 16, 0, 1) == 32  # programs
    assert gate.programs_per_sm(87, 164, 24576, 4) == 3  # registers: 5376 a warp, so 12 warps
    assert gate.programs_per_sm(86, 32, 60000, 4) == 1  # shared memory


LISTING = """
.L_x_0:
        /*0000*/                   LDG.E.128.CONSTANT R4, [R2.64] ;
.L_x_1:
        /*0010*/              @!P0 HMMA.16816.F32 R4, R8, R12, R4 ;
        /*0020*/                   HGMMA.64x128x16.F32 R24, gdesc[UR4], R24 ;
        /*0030*/               @P0 BRA `(.L_x_1) ;
        /*0040*/                   STL [R1], R4 ;
        /*0050*/                   BRA `(.L_x_0) ;
.L_x_2:
        /*0060*/                   BRA `(.L_x_2) ;
"""


def test_listings_are_read_with_their_innermost_loops() -> None:
    every, loops = sass.instructions(LISTING)
    assert [i.opcode for i in every[:3]] == ["LDG.E.128.CONSTANT", "HMMA.16816.F32", "HGMMA.64x128x16.F32"]
    assert [[i.opcode.split(".")[0] for i in loop] for loop in loops] == [["HMMA", "HGMMA", "BRA"]]
    assert sass.multiply_adds("HMMA.16816.F32") == 16 * 8 * 16
    assert sass.multiply_adds("HGMMA.64x128x16.F32") == 64 * 128 * 16
    assert sass.multiply_adds("UTCHMMA") == 0


def test_the_interpreter_can_not_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(KernelError, match="TRITON_INTERPRET"):
        aot.require_compiler()


def test_launchers_record_shapes_without_bytes() -> None:
    for workload in workloads.WORKLOADS:
        for launch in workloads.launches(87, workload).values():
            assert 0 not in launch.grid
            assert all(a.is_meta for a in launch.arguments if isinstance(a, torch.Tensor))
