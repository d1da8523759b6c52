"""Signals while OpenVINO is in the process: a Core changes where the kernel puts what it saves when one comes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CODE = """
import ctypes, gc, os, signal, sys
import vljepa_edge

class Stack(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

models = [vljepa_edge.load(sys.argv[1], threads=1) for _ in range(3)]
for order in {order}:
    models[order] = None
    gc.collect()
stack = Stack()
ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
if stack.at:
    spans = (line.split()[0].split("-") for line in open("/proc/self/maps"))
    inside = any(int(start, 16) <= stack.at < int(end, 16) for start, end in spans)
    assert inside, "the stack for signals is not memory of this process any more"
try:
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(10**6):
        pass
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sigaltstack and /proc are Linux's")
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_ctrl_c_is_heard_after_models_were_dropped(toy: Path, order: tuple[int, ...]) -> None:
    code = CODE.replace("{order}", str(order))
    ended = subprocess.run([sys.executable, "-c", code, str(toy)], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "interrupted\n"), ended.stderr


def test_nothing_makes_a_core_of_its_own() -> None:
    sources = [path for folder in ("vljepa_edge", "training", "kernels", "benchmarks", "tests") for path in
               (ROOT / folder).rglob("*.py")]  # fmt: skip
    makes = [path.name for path in sources if re.search(r"(?<!\")\b(ov|openvino)\.Core\(\)", path.read_text())]
    assert makes == ["quiet_openvino.py"]
