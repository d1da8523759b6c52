"""Start-up: a new process until its first decision. Files are in the page cache; compiled graphs are kept, and not.

Peers: the same bundle on ONNX Runtime; a process that imports PyTorch, builds the modules (no weights to read, which is
in its favour) and runs them once. Limit: the interpreter and NumPy alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np

from benchmarks.bench import Bench, installed
from benchmarks.comparison import Comparison, Limit, Stage
from benchmarks.interleave import Case, Samples, cpu_clock
from vljepa_edge.engines.compiled_cache import OFF, VARIABLE

PARTS = ("import", "load", "first hop")
_OURS = """
import sys, time
clock = getattr(time, sys.argv[3])
a = clock(); import vljepa_edge; b = clock()
model = vljepa_edge.load(sys.argv[1] or None, engine=sys.argv[2]); c = clock()
import numpy as np
stream = model.open_stream(policy="uniform:period=86400"); model.decode_text = lambda embedding: ""
stream.push(np.zeros((480, 640, 3), np.uint8), 0.0); d = clock()
print(b - a, c - b, d - c)
"""
_TORCH = """
import sys, torch
from pathlib import Path
from vljepa_edge.bundle.store import Bundle, default_bundle
from benchmarks import torch_peers
manifest = Bundle.open(Path(sys.argv[1]) if sys.argv[1] else default_bundle()).manifest
appearance, motion, predictor = torch_peers.appearance(), torch_peers.motion(manifest), torch_peers.predictor(manifest)
width = predictor.config.query_dim
with torch.inference_mode():
    tokens, luma = appearance(torch.zeros(1, 224, 224, 3, dtype=torch.uint8))
    window = luma[:, None].expand(-1, 8, -1, -1)
    streams = {"appearance": tokens[:, None].expand(-1, 8, -1, -1), "motion": motion(window)}
    predictor(streams, torch.zeros(1, 6, width), torch.ones(1, 6, dtype=torch.long))
"""


def stages(bench: Bench) -> list[Stage]:
    parts: list[tuple[float, ...]] = []
    path = "" if bench.path is None else str(bench.path)
    clock = "process_time" if bench.clock is cpu_clock else "perf_counter"
    ours = _process(_OURS, path, "openvino", clock, **{VARIABLE: OFF})
    cases = [
        Case("import, load, first hop", lambda: parts.append(_seconds(ours()))),
        Case("the same, graphs compiled before", _process(_OURS, path, "openvino", clock)),
        Case("python -c 'import numpy'", _process("import numpy")),
    ]
    notes = []
    if (missing := installed("onnxruntime")) is None:
        cases.insert(1, Case("the same on ONNX Runtime", _process(_OURS, path, "onnxruntime", clock)))
    else:
        notes.append(f"ONNX Runtime: {missing}.")
    if (missing := installed("torch")) is None and "recipe" in bench.bundle.manifest.provenance:
        cases.insert(1, Case("PyTorch: import, build, first hop", _process(_TORCH, path)))
    elif missing:
        notes.append(f"PyTorch: {missing}.")
    title = "start-up, a new process"

    def tell(samples: tuple[Samples, ...]) -> Comparison:
        figures = dict(zip(PARTS, np.median(parts[1:], axis=0).tolist(), strict=True))
        spelled = ", ".join(f"{name} {value:.2f} s" for name, value in figures.items())
        limit = Limit(samples[-1].median, "the interpreter and NumPy")
        return Comparison(title, samples, limit, (f"Ours: {spelled}.", *notes), figures)

    return [Stage(title, cases, tell, 2.5)]


def _process(code: str, *arguments: str, **variables: str) -> Callable[[], str]:
    """Run a program in a process of its own, with these variables in its environment beside ours."""
    command, environment = [sys.executable, "-c", code, *arguments], os.environ | variables

    def run() -> str:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode != 0:
            raise RuntimeError(f"a start-up process failed: {done.stderr.strip().splitlines()[-1:]}")
        return done.stdout

    return run


def _seconds(printed: str) -> tuple[float, ...]:
    return tuple(float(value) for value in printed.split())
