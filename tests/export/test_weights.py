"""Export and storage: the graph gives what the module gives, and weights lose no more than 16 or 8 bits take."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from vljepa_edge.export.int8.qdq import layers, prepare
from vljepa_edge.export.pytorch.trace import OPSET, export_module
from vljepa_edge.onnx_graphs.weights import has_8bit_weights, restore_weights, store_weights


class Small(nn.Module):
    """A table, a plain and a 3-d product, a convolution, a Linear on a vector (a Gemm) and some small tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(60, 32)
        self.linear = nn.Linear(32, 40)
        self.norm = nn.LayerNorm(40)
        self.conv = nn.Conv1d(40, 32, 3, padding=1)
        self.gemm = nn.Linear(32, 48)
        self.few = nn.Linear(48, 4)

    def forward(self, ids: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norm(self.linear(self.table(ids))) * scale
        y = self.conv(x.transpose(1, 2)).mean(2)
        return x, self.few(torch.tanh(self.gemm(y)))


IDS, SCALE = torch.arange(12).reshape(2, 6) * 5 % 60, torch.tensor([1.5])
AXES = {"ids": {0: "batch", 1: "tokens"}, "states": {0: "batch", 1: "tokens"}, "out": {0: "batch"}}


@pytest.fixture(scope="module")
def module() -> Small:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(scope="module")
def graph(module: Small) -> bytes:
    return export_module(module, {"ids": IDS, "scale": SCALE}, ("states", "out"), AXES)


def run(model: bytes, **inputs: NDArray[Any]) -> list[NDArray[Any]]:
    found: list[NDArray[Any]] = onnxruntime.InferenceSession(model).run(None, inputs)
    return found


def weights(model: bytes) -> dict[str, NDArray[Any]]:
    return {w.name: numpy_helper.to_array(w) for w in onnx.load_from_string(model).graph.initializer}


def expected(module: Small, ids: Tensor) -> list[NDArray[Any]]:
    with torch.no_grad():
        return [x.numpy() for x in module(ids, SCALE)]


@pytest.mark.parametrize("shape", [(2, 6), (1, 1), (5, 17)])
def test_the_graph_gives_what_the_module_gives_at_every_size(
    module: Small, graph: bytes, shape: tuple[int, int]
) -> None:
    ids = torch.randint(0, 60, shape)
    for found, wanted in zip(run(graph, ids=ids.numpy(), scale=SCALE.numpy()), expected(module, ids), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_names_and_version_are_those_asked_for(graph: bytes) -> None:
    proto = onnx.load_from_string(graph)
    assert [i.name for i in proto.graph.input] == ["ids", "scale"]
    assert [o.name for o in proto.graph.output] == ["states", "out"]
    assert proto.opset_import[0].version == OPSET
    first = proto.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param for d in first] == ["batch", "tokens"]


def test_a_training_module_is_exported_as_it_is_used() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)).train()
    exported = export_module(module, {"x": torch.ones(1, 4)}, ("y",))
    with torch.no_grad():
        np.testing.assert_allclose(
            run(exported, x=np.ones((1, 4), np.float32))[0], module.eval()(torch.ones(1, 4)), rtol=1e-5
        )


@pytest.mark.parametrize(("bits", "tolerance"), [(16, 3e-3), (8, 6e-2)])
def test_stored_weights_give_nearly_what_the_module_gives(
    module: Small, graph: bytes, bits: int, tolerance: float
) -> None:
    stored = store_weights(graph, bits)
    onnx.checker.check_model(onnx.load_from_string(stored), full_check=True)
    for found, wanted in zip(run(stored, ids=IDS.numpy(), scale=SCALE.numpy()), expected(module, IDS), strict=True):
        assert np.abs(found - wanted).max() < tolerance * np.abs(wanted).max()
        assert np.abs(found - wanted).max() > 0  # something was rounded
    assert len(stored) < (0.62 if bits == 16 else 0.5) * len(graph)


@pytest.mark.parametrize("bits", [16, 8])
def test_small_tensors_stay_as_they_are(graph: bytes, bits: int) -> None:
    before, after = weights(graph), weights(store_weights(graph, bits))
    small = {name for name, value in before.items() if value.size < 1024}
    assert {name for name in small if "few" in name or "norm" in name}
    for name in small:
        assert after[name].dtype == before[name].dtype
        np.testing.assert_array_equal(after[name], before[name])
    large = {name for name, value in before.items() if value.size >= 1024 and value.dtype == np.float32}
    assert len(large) == 4 and not large & set(after)


def test_sixteen_bits_are_ieee_half(graph: bytes) -> None:
    before, after = weights(graph), weights(store_weights(graph, 16))
    for name, value in after.items():
        if name.endswith("/f16"):
            assert value.dtype == np.float16
            np.testing.assert_array_equal(value, before[name.removesuffix("/f16")].astype(np.float16))


def restored(after: dict[str, NDArray[Any]], name: str) -> tuple[NDArray[np.float32], int]:
    """The weight that the stored one stands for, and the axis of its scales."""
    levels, scale = after[name + "/i8"], after[name + "/scale"]
    axis = levels.shape.index(len(scale))
    return levels * np.expand_dims(scale, 1 - axis), axis


def test_eight_bits_are_symmetric_with_a_scale_a_channel(module: Small, graph: bytes) -> None:
    before, after = weights(graph), weights(store_weights(graph, 8))
    stored = [name.removesuffix("/i8") for name in after if name.endswith("/i8")]
    assert len(stored) == 3  # the convolution's weight is 3-d and stays at 16 bits
    assert sum(name.endswith("/f16") for name in after) == 1
    for name in stored:
        levels, scale = after[name + "/i8"], after[name + "/scale"]
        assert levels.dtype == np.int8 and levels.min() >= -127 and scale.dtype == np.float32
        value, axis = restored(after, name)
        channels = {"table.weight": 60, "gemm.weight": 48}.get(name, 40)
        assert len(scale) == channels, name  # rows of a table, outputs of a layer: never what a product sums over
        most = np.abs(before[name]).max(axis=1 - axis, keepdims=True)
        assert (np.abs(value - before[name]) <= most / 254 * 1.001).all()
        np.testing.assert_array_equal(np.abs(levels).max(axis=1 - axis), 127)


def gather(table: NDArray[np.float32]) -> bytes:
    """ids -> rows of a table."""
    node = helper.make_node("Gather", ["table", "ids"], ["rows"])
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, [None])
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, table.shape[1]])
    made = helper.make_graph([node], "g", [ids], [rows], [numpy_helper.from_array(table, "table")])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    data: bytes = model.SerializeToString()
    return data


@given(arrays(np.float32, (32, 32), elements=st.floats(-1e4, 1e4, width=32)), st.integers(0, 31))
@settings(max_examples=30)
def test_every_row_of_a_table_is_within_half_a_level(table: NDArray[np.float32], row: int) -> None:
    table[row] = 0  # a row of nothing must stay nothing, not become nan
    found = run(store_weights(gather(table), 8), ids=np.arange(32))[0]
    bound = np.abs(table).max(1, keepdims=True) / 254
    assert (np.abs(found - table) <= bound * 1.001 + 1e-30).all()
    assert not found[row].any()


@pytest.mark.parametrize("bits", [16, 8])
def test_numbers_that_half_precision_does_not_have_are_kept(bits: int) -> None:
    table = np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32)
    table[3, 5] = np.finfo(np.float32).min  # how attention masks say never
    found = run(store_weights(gather(table), bits), ids=np.arange(40))[0]
    np.testing.assert_array_equal(found, table)


@pytest.mark.parametrize("bits", [16, 8])
def test_restored_weights_are_those_that_were_stored(graph: bytes, bits: int) -> None:
    stored = store_weights(graph, bits)
    restored = restore_weights(stored)
    assert has_8bit_weights(stored) == (bits == 8) and not has_8bit_weights(restored)
    assert not {node.op_type for node in onnx.load_from_string(restored).graph.node} & {"DequantizeLinear", "Cast"}
    for a, b in zip(*(run(m, ids=IDS.numpy(), scale=SCALE.numpy()) for m in (stored, restored)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    again = weights(store_weights(restored, bits))
    for name, value in weights(stored).items():  # rounding twice is rounding once
        np.testing.assert_allclose(again[name], value, rtol=1e-6)


def test_tables_may_have_bits_of_their_own(graph: bytes) -> None:
    stored = weights(store_weights(graph, 16, table_bits=8))
    assert {name for name in stored if name.endswith("/i8")} == {"table.weight/i8"}
    assert sum(name.endswith("/f16") for name in stored) == 3


class Tied(nn.Module):
    """An output layer that is the embedding table."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(60, 32)

    def forward(self, ids: Tensor) -> Tensor:
        return torch.tanh(self.table(ids)) @ self.table.weight.T


@pytest.mark.parametrize(("bits", "tolerance"), [(16, 3e-3), (8, 3e-2)])
def test_a_tied_output_layer_is_stored_once(bits: int, tolerance: float) -> None:
    torch.manual_seed(0)
    tied = Tied().eval()
    graph = export_module(tied, {"ids": IDS}, ("logits",), {"ids": {0: "batch", 1: "tokens"}})
    stored = store_weights(graph, bits)
    assert sum(value.size for value in weights(stored).values() if value.ndim == 2) == 60 * 32
    with torch.no_grad():
        wanted = tied(IDS).numpy()
    for model in (stored, restore_weights(stored)):
        assert np.abs(run(model, ids=IDS.numpy())[0] - wanted).max() < tolerance * np.abs(wanted).max()
    prepared = onnx.load_from_string(restore_weights(stored))
    prepare(prepared)
    assert [node.op_type for node in prepared.graph.node if node.name in layers(prepared)] == ["MatMul"]
    found = run(prepared.SerializeToString(), ids=IDS.numpy())[0]
    np.testing.assert_allclose(found, run(stored, ids=IDS.numpy())[0], rtol=1e-4, atol=1e-5)


def test_an_output_layer_is_not_read_from_a_coarser_table() -> None:
    graph = export_module(Tied().eval(), {"ids": IDS}, ("logits",))
    stored = weights(store_weights(graph, 16, table_bits=8))
    assert sum(name.endswith("/f16") for name in stored) == sum(name.endswith("/i8") for name in stored) == 1


def test_integers_are_left_alone() -> None:
    table = np.arange(4096, dtype=np.int64).reshape(64, 64)
    node = helper.make_node("Gather", ["table", "ids"], ["rows"])
    made = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("ids", TensorProto.INT64, [None])],
        [helper.make_tensor_value_info("rows", TensorProto.INT64, [None, 64])],
        [numpy_helper.from_array(table, "table")],
    )  # fmt: skip
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9).SerializeToString()
    for bits in (8, 16):
        np.testing.assert_array_equal(run(store_weights(model, bits), ids=np.array([3]))[0], table[[3]])
