"""Facts about a cubin, read from the toolkit's own listings: registers, local memory, instructions, loops."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from vljepa_edge.errors import KernelError

_INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.x]*)(.*?);")
_LABEL = re.compile(r"^(\.L_x_\d+):")
_USAGE = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")
MMA = re.compile(r"HMMA|IMMA|QMMA|OMMA|HGMMA|IGMMA|QGMMA|UTCHMMA|UTCIMMA|UTCQMMA")
_SPILL = re.compile(r"LDL|STL")


class Instruction(NamedTuple):
    """One line of SASS: the opcode with its modifiers, and its operands."""

    opcode: str
    operands: str


class Facts(NamedTuple):
    """What a cubin says about itself."""

    registers: int
    stack: int
    """Bytes of the stack of a thread."""
    local: int
    """Bytes of local memory of a thread."""
    spills: int
    """Instructions that read or write local memory."""
    instructions: int
    loop: int
    """Instructions of the innermost loop with the most MMAs, or else the longest innermost loop; 0 without one."""
    loop_mma: int
    """MMA instructions in it."""
    loop_macs: int
    """Multiply-adds of those for one warp (one warp group for HGMMA), from their shapes; 0 for tcgen05, which has its
    shape in a descriptor."""
    mma: str
    """The opcode of those, or of the first outside a loop; empty if there is none."""
    wide_loads: int
    """128-bit loads from global memory, cp.async among them."""
    loads: int
    """All loads from global memory."""


def facts(cubin: bytes, tools: Path) -> Facts:
    """Runs cuobjdump and nvdisasm of `tools` on the cubin. Raises KernelError if they can't read it."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        usage = _USAGE.search(_run(tools / "cuobjdump", "-res-usage", file.name))
        listing = _run(tools / "nvdisasm", "-c", file.name)
    if usage is None:
        raise KernelError("cuobjdump doesn't say how many registers the cubin uses")
    registers, stack, _, local = map(int, usage.groups())
    return Facts(registers, stack, local, *_counts(listing))


def instructions(listing: str) -> tuple[list[Instruction], list[list[Instruction]]]:
    """All instructions of a nvdisasm listing, and those of each loop: from the target of a backward branch to it."""
    every: list[Instruction] = []
    labels: dict[str, int] = {}
    for line in listing.splitlines():
        if label := _LABEL.match(line.strip()):
            labels[label[1]] = len(every)
        elif found := _INSTRUCTION.match(line):
            every.append(Instruction(found[1], found[2]))
    spans: list[tuple[int, int]] = []
    for i, (opcode, operands) in enumerate(every):
        target = re.search(r"(\.L_x_\d+)", operands) if opcode.startswith("BRA") else None
        if target and labels.get(target[1], i) < i:  # a branch to itself is the trap at the end
            spans.append((labels[target[1]], i))
    inner = [(a, b) for a, b in spans if not any(a <= c and d <= b and (a, b) != (c, d) for c, d in spans)]
    return every, [every[a : b + 1] for a, b in inner]


def multiply_adds(opcode: str) -> int:
    """Of one MMA instruction, by the shape in its name: HMMA.16816 is 16 x 8 x 16, HGMMA.64x128x16 says it outright."""
    if found := re.search(r"\.(\d+)x(\d+)x(\d+)", opcode):
        return int(found[1]) * int(found[2]) * int(found[3])
    return {"16816": 2048, "1688": 1024, "16832": 4096}.get((*opcode.split("."), "")[1], 0)


def _counts(listing: str) -> tuple[int, int, int, int, int, str, int, int]:
    every, loops = instructions(listing)

    def mmas(of: list[Instruction]) -> list[str]:
        return [i.opcode for i in of if MMA.match(i.opcode)]

    hot = max(loops, key=lambda loop: (len(mmas(loop)), len(loop)), default=[])
    kinds = Counter(mmas(hot) or mmas(every))
    loads = [i.opcode for i in every if re.match(r"LDG|LDGSTS|UTMALDG|UBLKCP", i.opcode)]
    wide = [opcode for opcode in loads if ".128" in opcode or opcode.startswith(("UTMALDG", "UBLKCP"))]
    spills = sum(bool(_SPILL.match(i.opcode)) for i in every)
    kind = kinds.most_common(1)[0][0] if kinds else ""
    macs = sum(map(multiply_adds, mmas(hot)))
    return spills, len(every), len(hot), len(mmas(hot)), macs, kind, len(wide), len(loads)


def _run(tool: Path, *arguments: str) -> str:
    try:
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise KernelError(f"{tool.name} can't read the cubin: {error}") from error
    return done.stdout + done.stderr
