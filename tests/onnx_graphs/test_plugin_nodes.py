"""Attention and tails become plugins where they are what the plugins compute, and nothing else does."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from torch import Tensor, nn

from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.export.int8.calibration import Arrays
from vljepa_edge.export.int8.qdq import layers, prepare, quantise
from vljepa_edge.export.pytorch.trace import export_module
from vljepa_edge.kernels.ops import bidirectional_attention, masked_mean_pool
from vljepa_edge.nn.config import LlamaStackConfig, PredictorConfig, StreamConfig, VLJepaConfig
from vljepa_edge.nn.predictor import Predictor
from vljepa_edge.nn.x_encoder import XEncoder
from vljepa_edge.nn.x_encoder_config import XEncoderConfig
from vljepa_edge.onnx_graphs import plugin_match
from vljepa_edge.onnx_graphs.half import to_half
from vljepa_edge.onnx_graphs.plugin_nodes import to_plugins
from vljepa_edge.onnx_graphs.qdq_check import check_qdq

SPAN = masked_mean_pool.SPAN


def half(model: bytes | onnx.ModelProto) -> onnx.ModelProto:
    proto = onnx.load_from_string(model) if isinstance(model, bytes) else model
    return to_half(proto, check_qdq(proto, "graph"), "graph")


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node if node.domain == "vljepa")


class Paper(nn.Module):
    """The paper's predictor, which has no concepts, small: grouped queries, two layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        stack = LlamaStackConfig(128, 2, 4, 2, 256, head_dim=64)
        self.predictor = Predictor(PredictorConfig((StreamConfig("x_encoder", 48),), 40, 24, stack))
        for linear in (m for m in self.modules() if isinstance(m, nn.Linear)):
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)

    def forward(self, x_encoder: Tensor, query_tokens: Tensor, query_mask: Tensor) -> Tensor:
        found: Tensor = self.predictor({"x_encoder": x_encoder}, query_tokens, query_mask)
        return found


def paper_inputs(seed: int, tokens: int = 5, padding: int = 2) -> Arrays:
    rng = np.random.default_rng(seed)
    mask = (np.arange(tokens) < tokens - padding).astype(np.int64)[None]
    query = rng.normal(size=(1, tokens, 40)).astype(np.float32)
    return {"x_encoder": rng.normal(size=(1, 9, 48)).astype(np.float32), "query_tokens": query, "query_mask": mask}


@pytest.fixture(scope="module")
def paper() -> bytes:
    free = {"query_tokens": {1: "tokens"}, "query_mask": {1: "tokens"}}
    inputs = {name: torch.from_numpy(array) for name, array in paper_inputs(0).items()}
    return export_module(Paper(), inputs, ("embedding",), free)


# --- what the plugins compute, by the kernels' own references in float64 ---


def tensors(*arrays: NDArray[Any]) -> list[Tensor]:
    return [torch.from_numpy(np.array(array)) for array in arrays]


class RotateKeys(OpRun):
    op_domain = "vljepa"

    def _run(self, qkv: Any, cos: Any, sin: Any, heads: str = "", **_: Any) -> tuple[NDArray[Any]]:
        count = int(heads)
        keys = qkv[:, :, count : count + (qkv.shape[2] - count) // 2].astype(np.float64)
        left, right = np.split(keys, 2, -1)
        turned = keys * cos[: qkv.shape[1], None] + np.concatenate((-right, left), -1) * sin[: qkv.shape[1], None]
        return (turned.astype(qkv.dtype),)


class PaddedAttention(OpRun):
    op_domain = "vljepa"

    def _run(self, qkv: Any, keys: Any, cos: Any, sin: Any, lengths: Any, heads: str = "", **_: Any) -> Any:
        assert lengths.dtype == np.int32 and keys.shape[2] == (qkv.shape[2] - int(heads)) // 2
        given = tensors(qkv, cos, sin)
        counts = torch.from_numpy(np.array(lengths))
        found, _ = bidirectional_attention.reference(given[0], int(heads), *given[1:], counts, qkv.shape[3] ** -0.5)
        return (found.numpy().astype(qkv.dtype),)


class BidirectionalAttention(PaddedAttention):
    def _run(self, qkv: Any, keys: Any, cos: Any, sin: Any, heads: str = "", **_: Any) -> Any:  # type: ignore[override]
        return super()._run(qkv, keys, cos, sin, np.full(len(qkv), qkv.shape[1], np.int32), heads=heads)


class PoolSum(OpRun):
    op_domain = "vljepa"

    def _run(self, x: Any, lengths: Any, eps: str = "", **_: Any) -> tuple[NDArray[Any]]:
        wide = x.astype(np.float64)
        normed = wide / np.sqrt(np.square(wide).mean(-1, keepdims=True) + float(eps))
        normed[np.arange(x.shape[1]) >= lengths[:, None]] = 0
        starts = range(0, x.shape[1], SPAN)
        return (np.stack([normed[:, i : i + SPAN].sum(1) for i in starts], 1).astype(np.float32),)


class PoolProject(OpRun):
    op_domain = "vljepa"

    def _run(self, partial: Any, lengths: Any, norm: Any, weight: Any, bias: Any, **_: Any) -> tuple[NDArray[Any]]:
        mean = partial.astype(np.float64).sum(1) / lengths[:, None] * norm
        return ((mean @ weight.astype(np.float64).T + bias).astype(np.float32),)


PLUGINS: list[Any] = [RotateKeys, PaddedAttention, BidirectionalAttention, PoolSum, PoolProject]


def run(model: onnx.ModelProto, inputs: Arrays) -> NDArray[Any]:
    (found, *_) = ReferenceEvaluator(model, new_ops=PLUGINS).run(None, inputs)
    return np.asarray(found)


# --- what becomes a plugin ---


@pytest.mark.parametrize("tokens", [1, 5, 70])
def test_the_papers_predictor_becomes_plugins_and_says_the_same(paper: bytes, tokens: int) -> None:
    before = half(paper)
    after, count = to_plugins(before)
    assert kinds(after) == {"RotateKeys": 2, "PaddedAttention": 2, "PoolSum": 1, "PoolProject": 1}
    assert count == 6 and not any(node.op_type == "Softmax" for node in after.graph.node)
    assert [v.SerializeToString() for v in after.graph.input] == [v.SerializeToString() for v in before.graph.input]
    assert [v.SerializeToString() for v in after.graph.output] == [v.SerializeToString() for v in before.graph.output]
    inputs = paper_inputs(1, tokens, padding=min(2, tokens - 1))
    np.testing.assert_allclose(run(after, inputs), run(before, inputs), atol=4e-3)


def test_the_default_predictor_has_its_attention_twice_with_padding_and_without() -> None:
    """It has concepts, so its tail is another."""
    bundle = Bundle.open(default_bundle())
    after, _ = to_plugins(half(bundle.read("graphs/predictor.onnx")))
    depth = VLJepaConfig.tiny().predictor.stack.layers
    assert kinds(after) == {
        "RotateKeys": 2 * depth,
        "PaddedAttention": depth,
        "BidirectionalAttention": depth,
    }  # concepts: no such tail
    rng = np.random.default_rng(0)
    inputs: Arrays = {
        "appearance": rng.normal(size=(1, 8, 10, 640)).astype(np.float32),
        "motion": rng.normal(size=(1, 16, 128)).astype(np.float32),
        "query_tokens": rng.normal(size=(1, 4, 384)).astype(np.float32),
        "query_mask": np.array([[1, 1, 1, 0]], np.int64),
    }
    found, wanted = run(after, inputs), run(half(bundle.read("graphs/predictor.onnx")), inputs)
    assert float((found * wanted).sum()) > 0.9999


def test_v_jepas_attention_is_taken_with_its_own_tables() -> None:
    encoder = XEncoder(XEncoderConfig("none", hidden=128, layers=2, heads=2, ffn=256, size=32))
    frames = torch.randint(0, 256, (1, 4, 32, 32, 3), dtype=torch.uint8)
    before = half(export_module(encoder, {"frames": frames}, ("x",)))
    after, _ = to_plugins(before)
    assert kinds(after) == {"RotateKeys": 2, "BidirectionalAttention": 2}
    inputs = {"frames": frames.numpy()}
    np.testing.assert_allclose(run(after, inputs), run(before, inputs), atol=2e-2)


def test_nodes_say_to_tensorrts_parser_where_the_plugin_is_and_sizes_are_constants(paper: bytes) -> None:
    after, _ = to_plugins(half(paper))
    onnx.checker.check_model(after)
    constants = {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in after.graph.initializer}
    maker = {name: node for node in after.graph.node for name in node.output}
    for node in after.graph.node:
        if node.domain:
            said = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            assert (said["plugin_namespace"], said["plugin_version"], said["aot"]) == (b"vljepa", b"1", 1)
        if node.op_type in ("RotateKeys", "PaddedAttention"):
            assert said["heads"] == b"4"
            assert constants[maker[node.input[0]].input[1]] == [0, 0, 8, 64]
    lengths = [node.input[4] for node in after.graph.node if node.op_type == "PaddedAttention"]
    assert len(set(lengths)) == 1  # of one mask, counted once


def test_in_int8_graphs_attention_reads_what_the_layers_dequantise(paper: bytes) -> None:
    """Q and DQ lie around the layers, not inside of attention; an int8 head keeps its own tail."""
    model = onnx.load_from_string(paper)
    prepare(model)
    int8 = quantise(model, layers(model), [paper_inputs(seed) for seed in range(3)])
    after, _ = to_plugins(half(int8))
    assert kinds(after) == {"RotateKeys": 2, "PaddedAttention": 2}
    count = Counter(node.op_type for node in after.graph.node)
    assert count["QuantizeLinear"] == Counter(node.op_type for node in half(int8).graph.node)["QuantizeLinear"] > 0
    found, wanted = run(after, paper_inputs(7)), run(half(int8), paper_inputs(7))
    assert float((found * wanted).sum()) > 0.999


# --- what doesn't ---


@pytest.mark.parametrize("graph", ["text", "y_decoder", "x_encoder_appearance", "x_encoder_motion"])
def test_other_graphs_stay_as_they_are(graph: str) -> None:
    """Heads of 32, a causal mask with a cache, convolutions."""
    before = half(Bundle.open(default_bundle()).read(f"graphs/{graph}.onnx"))
    assert to_plugins(before) == (before, 0)


def altered(model: bytes, change: str) -> onnx.ModelProto:
    """A graph that looks like the predictor's and computes something else in its first layer or its tail."""
    proto = onnx.load_from_string(model)
    maker = {name: node for node in proto.graph.node for name in node.output}
    first = next(node for node in proto.graph.node if node.op_type == "Softmax")
    if change == "scale":
        scaled = next(node for node in proto.graph.node if node.op_type == "Pow" and "layers.0" in node.name)
        maker[scaled.input[1]].attribute[0].t.CopyFrom(numpy_helper.from_array(np.float32(-0.6)))
    elif change == "rotation":
        turned = next(node for node in proto.graph.node if node.op_type == "Neg" and "layers.0" in node.name)
        turned.op_type = "Identity"
    elif change == "softmax over queries":
        first.attribute[0].i = -2
    elif change == "mask of each query":
        bias = next(n for n in proto.graph.node if n.op_type == "Add" and "/predictor/stack/Mul_output_0" in n.input)
        place = list(bias.input).index("/predictor/stack/Mul_output_0")
        wide = numpy_helper.from_array(np.zeros((1, 1, 14, 14), np.float32), "each")
        proto.graph.initializer.append(wide)
        bias.input[place] = "each"
    elif change == "count":
        counted = [node for node in proto.graph.node if node.op_type == "ReduceSum"]
        counted[-1].input[0] = counted[0].input[0]
    return proto


@pytest.mark.parametrize("change", ["scale", "rotation", "softmax over queries", "mask of each query"])
def test_attention_that_is_another_is_left_alone(paper: bytes, change: str) -> None:
    after, _ = to_plugins(half(altered(paper, change)))
    assert kinds(after)["PaddedAttention"] == 1  # the other layer's
    assert kinds(after)["PoolProject"] == 1


def test_a_mean_by_another_count_is_left_alone(paper: bytes) -> None:
    after, _ = to_plugins(half(altered(paper, "count")))
    assert kinds(after) == {"RotateKeys": 2, "PaddedAttention": 2}


def test_attention_that_stays_fp32_is_left_alone(paper: bytes) -> None:
    before = onnx.load_from_string(paper)
    assert {t.data_type for t in before.graph.initializer if len(t.dims) == 2} == {TensorProto.FLOAT}
    assert "PaddedAttention" not in kinds(to_plugins(before)[0])


def test_the_heads_and_widths_are_those_of_the_kernels() -> None:
    assert plugin_match.HEAD_DIMS == bidirectional_attention.HEAD_DIMS
    assert plugin_match.MAX_WIDTH == masked_mean_pool.MAX_WIDTH
