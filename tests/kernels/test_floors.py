"""The static floors: the arithmetic by hand, and that the document has what the command prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vljepa_edge.kernels.tools import aot, floors, gate

DOCUMENT = Path(__file__).parents[2] / "docs" / "kernels.md"


def test_every_architecture_has_a_device_and_every_device_a_source() -> None:
    assert tuple(floors.DEVICES) == aot.ARCHS
    assert all(device.source for device in floors.DEVICES.values())


@pytest.mark.parametrize("arch", aot.ARCHS)
def test_a_devices_figures_fit_each_other(arch: int) -> None:
    """A whole power of two of multiply-adds an SM a cycle, to 7 %: a figure with sparsity is twice off. A B200 runs its
    tensor cores below the clock that is known of it."""
    device = floors.DEVICES[arch]
    rate = device.fp16 * 1e3 / (2 * device.sms * device.clock)
    legal = {80: 1024, 86: 512, 87: 1024, 89: 256, 90: 2048, 100: 4096, 110: 4096, 120: 256}[arch]
    assert rate == pytest.approx(legal, rel=0.07)


def test_attention_on_orin_by_hand() -> None:
    device, work = floors.DEVICES[87], floors.works()[0]
    products, moved = floors.roofline(work, device)
    assert work.moved == 2560 * 64 * 2 * (48 + 8 + 8 + 32)
    assert products == pytest.approx(1e6 * 4 * 2560 * 2560 * 64 * 32 / 42.5e12)
    assert moved == pytest.approx(1e6 * 31_457_280 / 204.8e9)
    row = json.loads(gate.COMMITTED.read_text("utf-8"))["kernels"][floors.ATTENTION]["87"]
    assert (row["block_m"], row["block_n"], row["num_warps"]) == (64, 64, 4)
    expected = 1e6 * 40 * 32 * 40 * 4 * row["loop"] / (16 * 4 * 1.3e9)
    assert floors.issue(row, device) == pytest.approx(expected)


def test_integer_products_go_at_the_integer_rate() -> None:
    (work,) = (w for w in floors.works() if w.bits == 8)
    assert work.products == 2560 * 2048 * 16384
    products, _ = floors.roofline(work, floors.DEVICES[90])
    assert products == pytest.approx(1e6 * 2 * work.products / 1978.9e12)


def test_the_document_has_what_the_command_prints() -> None:
    done = subprocess.run([sys.executable, "-m", "vljepa_edge.kernels.tools.floors"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = DOCUMENT.read_text("utf-8")
    assert f"<!-- floors:begin -->\n{done.stdout}<!-- floors:end -->" in text
