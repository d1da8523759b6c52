"""The runtime runs where torch and the other extras can't be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys

class Refuse:
    names = {"torch", "transformers", "onnx", "onnxruntime", "safetensors", "sklearn", "scipy", "PIL", "torchvision",
             "starlette", "uvicorn", "websockets", "prometheus_client", "paho"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ImportError(f"{name} is an extra, the runtime must not need it")

sys.meta_path.insert(0, Refuse())

import numpy as np
import vljepa_edge

bundle, folder = sys.argv[1:]
model = vljepa_edge.load(bundle, threads=1)
rng = np.random.default_rng(0)
frames = [(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8), i / 4) for i in range(20)]

assert [e.status for e in model.stream(iter(frames), policy="uniform:period=1000")] == ["open", "closed"]
with model.open_stream(live=True) as stream:
    stream.push(*frames[0])
    assert stream.flush()
assert len(model.classify(frames[0][0], ["cat", "dog"])) == 2
assert model.answer(frames, "what?").text
assert model.answer(frames, "what?", ["left", "right"]).scores
assert len(model.transition(frames[0][0], frames[1][0], [frames[:8], frames[8:16]])) == 2
index = vljepa_edge.Index(model)
index.add(frames, name="noise")
index.save(folder)
assert vljepa_edge.Index.load(folder, model).search("noise")
from vljepa_edge.evaluation.adapters import BENCHMARKS
from vljepa_edge.evaluation.bundle_embedder import BundleEmbedder
from vljepa_edge.evaluation.items import Triplet, Triplets
from vljepa_edge.evaluation.measure import measure

assert len(BENCHMARKS) > 20
assert measure(Triplets((Triplet("cat", "cat", "dog"),)), BundleEmbedder(model))["mean"] == 100.0
assert not Refuse.names & {name.partition(".")[0] for name in sys.modules}
"""


def test_everything_runs_without_torch(toy: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(toy), str(tmp_path / "index")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
