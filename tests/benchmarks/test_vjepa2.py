"""The V-JEPA 2 benchmark at a size that takes seconds: every way computes the same thing."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers")

from benchmarks import vjepa2
from benchmarks.bench import Bench
from benchmarks.limits import Limits
from vljepa_edge.nn.x_encoder_config import XEncoderConfig


def test_all_ways_agree_and_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits({(kind, n): 1e11 for kind in ("bf16", "f32", "int8") for n in (1, 2)}, {1: 1e10, 2: 1e10})
    bench = Bench(None, tmp_path, limits, 0.1, 2, time.perf_counter)
    draw = np.random.default_rng(0)
    bench.__dict__["frames"] = [draw.integers(0, 256, (40, 60, 3), np.uint8) for _ in range(6)]
    size = vjepa2.Size("small", "micro", XEncoderConfig("random", 96, 2, 4, 384, 32), 4)
    monkeypatch.setattr(vjepa2, "SMALL", size)
    monkeypatch.setattr(vjepa2, "FULL", size)
    monkeypatch.setattr("torch.compile", lambda function, **_: function)  # half a minute each, and PyTorch's to test
    found = [bench.compare(stage) for stage in vjepa2.stages(bench)]
    assert len(found) == 2 and found[0].ours.name == "OpenVINO, INT8"
    names = {samples.name for samples in found[0].samples}
    expected = {"transformers, fp32 eager", "transformers, fp32 torch.compile", "lean, fp32 eager", "OpenVINO, f32"}
    assert expected | {"ONNX Runtime, INT8", "ONNX Runtime, INT8 by quantize_dynamic"} <= names
    cosines = [float(word) for word in found[0].notes[0].split() if word.startswith(("0.", "1."))]
    assert len(cosines) == len(names) and min(cosines) > 0.995
    assert all(value > 0 for value in found[0].figures.values())
    assert found[0].limit is not None and found[0].limit.ms > 0
