"""The static gate: what it refuses, and that every shipped kernel passes it, compiled as the JIT would."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from vljepa_edge.errors import KernelError
from vljepa_edge.kernels.tiles import TABLE
from vljepa_edge.kernels.tools import aot, gate, sass, workloads

pytest.importorskip("triton")
FORWARD = "attention d64 fp16: bidirectional_attention.forward_kernel"


@pytest.fixture
def committed() -> gate.Table:
    """A copy of gate.json's rows."""
    table: gate.Table = json.loads(gate.COMMITTED.read_text("utf-8"))["kernels"]
    return table


def of(table: gate.Table, arch: str) -> gate.Table:
    return {label: {arch: dict(rows[arch])} for label, rows in table.items() if arch in rows}


def test_every_shipped_kernel_compiles_and_passes(static_gate: tuple[int, str]) -> None:
    status, text = static_gate
    assert status == 0, text
    assert "0 violations" in text


def test_attention_on_orin_spills_nothing_and_its_loop_is_short(committed: gate.Table) -> None:
    row = committed[FORWARD]["87"]
    assert (row["spills"], row["local"], row["loop_mma"]) == (0, 0, 64)
    assert row["loop"] <= 356


def test_a_table_agrees_with_itself(committed: gate.Table) -> None:
    assert gate.check(of(committed, "87"), committed) == []


def test_no_committed_row_breaks_a_hard_limit(committed: gate.Table) -> None:
    rows = [(label, int(arch), row) for label, by_arch in committed.items() for arch, row in by_arch.items()]
    assert all(sorted(map(int, by_arch)) == sorted(aot.ARCHS) for by_arch in committed.values())
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


@pytest.fixture
def only_attention_on_orin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole check, compiler and all, in this process and for one workload on one architecture."""

    def measured(archs: Any) -> gate.Table:
        rows = gate._measure_workload(87, "attention d64 fp16")
        return {label: {"87": row} for label, row in rows.items()}

    monkeypatch.setattr(gate, "measure_all", measured)


@pytest.mark.usefixtures("only_attention_on_orin")
def test_a_tile_size_changed_by_hand_fails_the_check(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    lines = TABLE["attention_forward/64/16"]
    assert gate.main(["--check", "--arch", "87"]) == 1  # of what isn't compiled here
    assert FORWARD not in capsys.readouterr().out
    monkeypatch.setitem(lines, 80, replace(lines[80], block_n=32))
    assert gate.main(["--check", "--arch", "87"]) == 1
    assert f"{FORWARD} sm_87 block_n: 32, was 64" in capsys.readouterr().out


@pytest.mark.parametrize("missing", aot.ARCHS)
def test_the_check_wants_every_architecture(
    committed: gate.Table, missing: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    """Compiled for all of them, whatever gate.json has; one that it lacks fails for each kernel."""

    def measured(archs: Any) -> gate.Table:
        assert tuple(archs) == (80, 86, 87, 89, 90, 100, 110, 120)
        return committed

    fewer = {label: {a: row for a, row in rows.items() if a != str(missing)} for label, rows in committed.items()}
    file = tmp_path / "gate.json"
    monkeypatch.setattr(gate, "measure_all", measured)
    monkeypatch.setattr(gate, "COMMITTED", file)
    for table, status in ((committed, 0), (fewer, 1)):
        file.write_text(json.dumps({"kernels": table}))
        assert gate.main(["--check"]) == status
    printed = capsys.readouterr().out
    assert f"{FORWARD} sm_{missing}: not in gate.json; run with --write" in printed
    assert f"{len(committed)} violations" in printed


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


class _Read(Exception):
    """The frontend has taken the kernel."""


def test_every_kernel_can_be_read_where_each_of_its_integers_is_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """The JIT makes an argument of 1, such as one column or a stride, a constant without the methods of a tensor."""
    from triton.backends.nvidia.compiler import CUDABackend

    def stop(*arguments: object) -> None:
        raise _Read

    monkeypatch.setattr(CUDABackend, "make_ttir", staticmethod(stop))  # nothing of size reaches the cache
    kernels = set()
    for workload in workloads.WORKLOADS:
        for made in workloads.launches(87, workload).values():
            arguments = tuple(1 if isinstance(a, int) else a for a in made.arguments)
            with pytest.raises(KernelError) as refused:
                aot.compiled(made._replace(arguments=arguments), 87)
            assert isinstance(refused.value.__cause__, _Read), str(refused.value)
            kernels.add(made.kernel)
    assert len(kernels) > 15


def test_launchers_record_shapes_without_bytes() -> None:
    for workload in workloads.WORKLOADS:
        for launch in workloads.launches(87, workload).values():
            assert 0 not in launch.grid
            assert all(a.is_meta for a in launch.arguments if isinstance(a, torch.Tensor))
