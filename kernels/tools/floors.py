"""The least time that each kernel can take on a device of each architecture, from what the vendor says of the device.

    python -m vljepa_edge.kernels.tools.floors

prints the tables of docs/kernels.md. An operation's floor is the longer of two: its products at the dense rate of the
tensor cores, its bytes at the bandwidth of the memory. Attention has a third: the instructions of its hot loop, as
compiled (gate.json), one an SM quarter a cycle. None of them is a time: latency, launches and what doesn't overlap
come on top.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from vljepa_edge.kernels.tools.gate import COMMITTED
from vljepa_edge.kernels.tools.workloads import EMBEDDING, FFN, HEADS, HIDDEN, KV_HEADS, TOKENS

HEAD_DIM = 64
LOSS_BATCH = 24576
ATTENTION = "attention d64 fp16: bidirectional_attention.forward_kernel"


class Device(NamedTuple):
    """What its vendor says of a device, or what follows from that; `source` says which, and what nobody confirmed."""

    name: str
    sms: int
    clock: float
    """GHz, boost."""
    fp16: float
    """Dense tensor TFLOP/s with fp32 accumulation."""
    int8: float
    """Dense tensor TOP/s."""
    bandwidth: float
    """GB/s."""
    source: str


DEVICES = {
    80: Device(
        "A100 SXM4 80 GB", 108, 1.41, 312, 624, 2039,
        "NVIDIA A100 datasheet, as cited by glennklockwood.com/garden/processors/A100; clock: deviceQuery of a "
        "cluster's A100 (PC2, Paderborn)",
    ),
    86: Device(
        "A40", 84, 1.74, 149.7, 299.3, 696,
        "NVIDIA A40 datasheet, as repeated by a dealer; 84 SMs from its 10,752 cores, clock from its 37.4 fp32 TFLOP/s",
    ),
    87: Device(
        "Jetson AGX Orin 64 GB", 16, 1.3, 42.5, 85, 204.8,
        "Jetson AGX Orin Technical Brief (16 SMs, 5.3 fp32 TFLOP/s, so 1.3 GHz; 170 sparse int8 TOP/s, so half of it "
        "dense and a quarter in fp16); bandwidth: module data sheet DS-10662-001",
    ),
    89: Device(
        "GeForce RTX 4090", 128, 2.52, 165.2, 660.6, 1008,
        "hmc-tech.com's table of the card; bandwidth: its 384 bits at 21 Gbit/s. NVIDIA's own paper was not at hand",
    ),
    90: Device(
        "H100 SXM5", 132, 1.83, 989.4, 1978.9, 3350,
        "NVIDIA H100 architecture paper, as cited by glennklockwood.com/garden/processors/h100",
    ),
    100: Device(
        "B200, HGX at 1000 W", 148, 1.98, 2250, 4500, 8000,
        "NVIDIA Blackwell brief, as cited by glennklockwood.com/garden/processors/B200; SMs: Chips and Cheese; clock: "
        "hmc-tech.com, which NVIDIA doesn't confirm",
    ),
    110: Device(
        "Jetson T5000 (Thor)", 20, 1.57, 258.75, 517.5, 273,
        "from 2070 sparse FP4 TFLOP/s: half is dense, a quarter of that fp16 (torring.dev has the same product of 20 "
        "SMs and 1.57 GHz); SMs: a query of the device on NVIDIA's forum. No source at hand confirms the bandwidth",
    ),
    120: Device(
        "GeForce RTX 5090", 170, 2.407, 209.6, 838, 1792,
        "Linux Format's table of the card and spheron.network's, 838.4 sparse fp16 TFLOP/s: half is dense, half of "
        "that with fp32 accumulation as on the RTX 4090; int8: a quarter of 3352 sparse FP4. NVIDIA's own paper was "
        "not at hand",
    ),
}  # fmt: skip


class Work(NamedTuple):
    """What an operation must do and move at the paper's sizes, one sequence, 2 bytes a value."""

    name: str
    products: int
    """Multiply-adds on tensor cores."""
    moved: int
    """Bytes."""
    bits: int = 16


def works() -> list[Work]:
    """Of every operation; what only the vector units do is too little to count."""
    slots = HEADS + 2 * KV_HEADS
    read, keys, out = (2 * TOKENS * heads * HEAD_DIM for heads in (slots, KV_HEADS, HEADS))
    loss = LOSS_BATCH * EMBEDDING
    return [
        Work("attention, forward", 2 * TOKENS**2 * HEAD_DIM * HEADS, read + 2 * keys + out),
        Work("norm with residual", 0, 4 * 2 * TOKENS * HIDDEN),
        Work("SwiGLU", 0, 3 * 2 * TOKENS * FFN),
        Work("tail", 0, 2 * (TOKENS + EMBEDDING) * HIDDEN),
        Work(
            "W8A8 linear with SwiGLU", 2 * TOKENS * HIDDEN * FFN,
            TOKENS * HIDDEN + 2 * FFN * HIDDEN + 2 * TOKENS * FFN, bits=8,
        ),
        Work("InfoNCE, forward, bf16, B = 24,576", 2 * LOSS_BATCH * loss, 4 * 2 * loss),
        Work("patchify, 16 frames", 0, 3 * 16 * 256 * 256 * (1 + 2)),
    ]  # fmt: skip


def roofline(work: Work, device: Device) -> tuple[float, float]:
    """Microseconds of its products, and of its bytes."""
    rate = device.fp16 if work.bits == 16 else device.int8
    return 2 * work.products / (rate * 1e6), work.moved / (device.bandwidth * 1e3)


def issue(row: dict[str, int], device: Device) -> float:
    """Microseconds of the instructions of attention's loop: turns of the loop, warps, instructions of each."""
    turns = TOKENS // row["block_m"] * HEADS * (TOKENS // row["block_n"])
    return turns * row["num_warps"] * row["loop"] / (device.sms * 4 * device.clock * 1e3)


def tables() -> str:
    """The section of docs/kernels.md, in Markdown."""
    return "\n".join((*_devices(), "", *_floors(), "", *_attention()))


def _devices() -> Iterator[str]:
    yield "| | device | SMs | GHz | fp16 TFLOP/s | int8 TOP/s | GB/s |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for arch, d in DEVICES.items():
        yield f"| sm_{arch} | {d.name} | {d.sms} | {d.clock:g} | {d.fp16:g} | {d.int8:g} | {d.bandwidth:g} |"
    yield ""
    yield "Dense rates, fp16 with fp32 accumulation. Where each row is from:"
    yield ""
    for arch, d in DEVICES.items():
        yield f"* sm_{arch}: {d.source}."


def _floors() -> Iterator[str]:
    yield "Floors in microseconds, bold where the tensor cores bind and not the memory:"
    yield ""
    yield "| operation | GMAC | MB | " + " | ".join(f"sm_{arch}" for arch in DEVICES) + " |"
    yield "|---|---:|---:|" + "---:|" * len(DEVICES)
    for work in works():
        cells = []
        for device in DEVICES.values():
            products, moved = roofline(work, device)
            cells.append(f"**{_short(products)}**" if products > moved else _short(moved))
        size = f"{_short(work.products / 1e9)} | {_short(work.moved / 1e6)}"
        yield f"| {work.name} | {size} | " + " | ".join(cells) + " |"


def _attention() -> Iterator[str]:
    yield "Attention at head size 64 with its third floor, in microseconds a layer:"
    yield ""
    yield "| | tile, warps | programs an SM | instructions a turn | instructions | products | memory | floor |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|"
    rows = json.loads(COMMITTED.read_text("utf-8"))["kernels"][ATTENTION]
    for arch, device in DEVICES.items():
        row = rows[str(arch)]
        floors = (issue(row, device), *roofline(works()[0], device))
        tile = f"{row['block_m']} x {row['block_n']}, {row['num_warps']}"
        cells = " | ".join(map(_short, (*floors, max(floors))))
        yield f"| sm_{arch} | {tile} | {row['programs']} | {row['loop']} | {cells} |"


def _short(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    print(tables())
