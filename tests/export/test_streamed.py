"""Modules traced without their weights: the file gives what the module gives, and memory stays bounded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from tests.export.encoders import wide
from vljepa_edge.errors import ExportError
from vljepa_edge.export.pytorch import streamed
from vljepa_edge.export.pytorch.streamed import export_streamed, inline, trace
from vljepa_edge.nn.config import LlamaStackConfig
from vljepa_edge.nn.llama import LlamaStack
from vljepa_edge.nn.x_encoder import XEncoder
from vljepa_edge.nn.x_encoder_config import XEncoderConfig


class Tied(nn.Module):
    """A table that is looked up and multiplied with, a buffer, and a product with a free length."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(90, 32)
        self.stack = LlamaStack(LlamaStackConfig(32, 2, 4, 2, 64, max_positions=64))
        self.register_buffer("offset", torch.arange(32.0))

    def forward(self, ids: Tensor) -> Tensor:
        return self.stack(self.table(ids) + self.offset) @ self.table.weight.T


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path)


@pytest.mark.parametrize(("bits", "tolerance"), [(32, 1e-5), (16, 5e-3)])
def test_the_file_gives_what_the_module_gives_at_every_length(bits: int, tolerance: float, tmp_path: Path) -> None:
    module = wide(Tied())
    path = tmp_path / "tied.onnx"
    ids = torch.arange(6).reshape(1, 6)
    export_streamed(module, {"ids": ids}, ("y",), {"ids": {0: "batch", 1: "tokens"}, "y": {0: "batch"}}, bits, path)
    whole = inline(path)
    for shape in ((1, 6), (3, 1), (2, 50)):
        ids = torch.randint(0, 90, shape)
        with torch.no_grad():
            expected = module(ids).numpy()
        for run in (session(path), onnxruntime.InferenceSession(whole)):
            found = run.run(None, {"ids": ids.numpy()})[0]
            assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def test_the_graph_is_lean(tmp_path: Path) -> None:
    encoder = XEncoder(XEncoderConfig(hidden=96, layers=3, heads=4, ffn=192, size=32))
    model = trace(encoder, {"frames": torch.zeros(1, 4, 32, 32, 3, dtype=torch.uint8)}, ("x",), {})
    kinds = [node.op_type for node in model.graph.node]
    assert not {"Shape", "Constant", "Cos", "Sin", "Range", "Where", "Expand"} & set(kinds)  # tables are constants
    assert kinds.count("MatMul") == 3 * (4 + 2) + 1  # QKV is one product
    assert {i.name for i in model.graph.input} == {"frames", *encoder.state_dict()}


def test_weights_lie_beside_the_file_aligned_and_at_16_bits(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    export_streamed(wide(nn.Linear(64, 64)), {"x": torch.zeros(2, 3, 64)}, ("y",), {}, 16, path)
    (weight,) = (w for w in onnx.load(path, load_external_data=False).graph.initializer if w.external_data)
    about = {item.key: item.value for item in weight.external_data}
    assert about["location"] == "x.onnx.data" and int(about["offset"]) % 64 == 0
    assert weight.data_type == onnx.TensorProto.FLOAT16 and int(about["length"]) == 64 * 64 * 2
    assert path.stat().st_size < 2000


def test_a_weight_that_fp16_can_not_hold_stays_in_fp32(tmp_path: Path) -> None:
    path, layer = tmp_path / "x.onnx", wide(nn.Linear(64, 64))
    with torch.no_grad():
        layer.weight[0, 0] = 1e5
    export_streamed(layer, {"x": torch.zeros(2, 3, 64)}, ("y",), {}, 16, path)
    (weight,) = (w for w in onnx.load(path).graph.initializer if list(w.dims) == [64, 64])
    assert weight.data_type == onnx.TensorProto.FLOAT and onnx.numpy_helper.to_array(weight).max() == np.float32(1e5)


def test_what_no_file_can_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.onnx"
    export_streamed(wide(nn.Linear(64, 64)), {"x": torch.zeros(2, 3, 64)}, ("y",), {}, 32, path)
    monkeypatch.setattr(streamed, "PROTOBUF_MOST", 10_000)
    with pytest.raises(ExportError, match=r"x.onnx would have .* GB; .*fp16"):
        inline(path)


def test_the_peak_of_memory_is_little_more_than_the_module(tmp_path: Path) -> None:
    """160 MB of weights in layers of 16 MB; torch.onnx.export alone takes several times that on top."""
    code = """
import sys, torch
from pathlib import Path
from torch import nn
from vljepa_edge.export.pytorch.streamed import export_streamed
from vljepa_edge.support.process import peak_memory
module = nn.Sequential(*(nn.Linear(2048, 2048) for _ in range(10)))
export_streamed(nn.Linear(64, 64), {"x": torch.zeros(1, 1, 64)}, ("y",), {}, 16, Path(sys.argv[1]) / "warm.onnx")
before = peak_memory()
export_streamed(module, {"x": torch.zeros(1, 1, 2048)}, ("y",), {}, 16, Path(sys.argv[1]) / "x.onnx")
print(peak_memory() - before)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert (tmp_path / "x.onnx.data").stat().st_size > 80e6
    assert int(done.stdout) < 80e6
