"""What counts as a sound INT8 graph, and what is refused before any engine sees it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.export.quantised import WEIGHT_LAYERS, quantised_block, transformer
from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.errors import QuantizationError
from vljepa_edge.onnx_graphs.qdq_check import check_qdq


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    return quantised_block(tmp_path_factory.mktemp("block"))


@pytest.fixture
def model(block: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(block)
    return copy


def node_before(model: onnx.ModelProto, layer: str, side: int, kind: str) -> onnx.NodeProto:
    """The Q or DQ node on one side of a layer."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    node = made_by[next(node for node in model.graph.node if node.name == layer).input[side]]
    while node.op_type != kind:
        node = made_by[node.input[0]]
    return node


def replace(model: onnx.ModelProto, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), name))


def test_what_onnxruntime_quantises_is_int8_in_every_layer_with_a_weight(model: onnx.ModelProto) -> None:
    layers = {layer.name: layer.kind for layer in check_qdq(model, "block")}
    assert layers == {**dict.fromkeys(WEIGHT_LAYERS, "int8"), "scores": "activations", "mix": "activations"}


def test_a_float_graph_has_no_int8_layer() -> None:
    layers = check_qdq(transformer(), "block")
    assert {layer.kind for layer in layers} == {"float", "activations"}


def test_weights_that_are_only_stored_in_8_bits_are_float() -> None:
    bundle = Bundle.open(default_bundle())
    model = onnx.load_from_string(bundle.read("graphs/text.onnx"))
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        pytest.skip("the default bundle's text graph computes in int8")
    assert any(node.op_type == "DequantizeLinear" for node in model.graph.node)
    assert {layer.kind for layer in check_qdq(model, "text")} == {"float", "activations"}


def test_a_layer_that_lost_its_quantisation_is_found(model: onnx.ModelProto) -> None:
    layer = next(node for node in model.graph.node if node.name == "up")
    layer.input[0] = node_before(model, "up", 0, "QuantizeLinear").input[0]
    assert [layer.name for layer in check_qdq(model, "block") if layer.kind == "float"] == ["up"]


def test_a_missing_scale_is_refused(model: onnx.ModelProto) -> None:
    node = node_before(model, "qkv", 0, "QuantizeLinear")
    scale = node.input[1]
    kept = [tensor for tensor in model.graph.initializer if tensor.name != scale]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    with pytest.raises(QuantizationError, match=rf"has no constant scale \({scale}\)"):
        check_qdq(model, "block")
    del node.input[1:]
    with pytest.raises(QuantizationError, match="has no constant scale"):
        check_qdq(model, "block")


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        (1, lambda scale: scale * 0, "has a scale that is not a positive number"),
        (1, lambda scale: scale * np.float32(np.nan), "has a scale that is not a positive number"),
        (1, lambda scale: scale * 2, "has another scale than its partner"),
        (1, lambda scale: np.full(64, scale), "has 64 scales for an activation"),
        (2, lambda zero: zero + np.int8(3), "is asymmetric: its zero point is 3, not 0"),
        (2, lambda zero: zero.astype(np.uint8), "must be int8, got uint8"),
    ],
)
def test_an_activation_that_engines_do_not_take(
    part: int, change: Callable[[np.ndarray], np.ndarray], message: str, model: onnx.ModelProto
) -> None:
    node = node_before(model, "qkv", 0, "QuantizeLinear")
    name = f"{node.input[part]}/other"
    tensor = next(t for t in model.graph.initializer if t.name == node.input[part])
    model.graph.initializer.append(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), name))
    node.input[part] = name
    with pytest.raises(QuantizationError, match=message):
        check_qdq(model, "block")


def test_a_quantiser_without_a_zero_point_writes_uint8(model: onnx.ModelProto) -> None:
    del node_before(model, "qkv", 0, "QuantizeLinear").input[2:]
    with pytest.raises(QuantizationError, match="must be int8, got uint8"):
        check_qdq(model, "block")


@pytest.mark.parametrize("layer", ["patch", "qkv", "head"])
def test_a_weight_with_one_scale_for_all_channels_is_refused(layer: str, model: onnx.ModelProto) -> None:
    node = node_before(model, layer, 1, "DequantizeLinear")
    replace(model, node.input[1], lambda scale: scale[0])
    replace(model, node.input[2], lambda zero: zero[0])
    with pytest.raises(QuantizationError, match=rf"{layer} has a weight .* with 1 scales"):
        check_qdq(model, "block")


def test_scales_along_the_inputs_of_a_layer_are_refused(model: onnx.ModelProto) -> None:
    node = node_before(model, "out", 1, "DequantizeLinear")  # 64 x 64: the count alone would not show it
    del node.attribute[:]
    node.attribute.append(helper.make_attribute("axis", 0))
    with pytest.raises(QuantizationError, match=r"out has a weight \[64, 64\] with 64 scales along axis 0"):
        check_qdq(model, "block")


def test_a_quantised_bias_is_refused_with_advice(model: onnx.ModelProto) -> None:
    values = {"b_q": np.zeros(4, np.int32), "b_s": np.float32(0.1)}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), k) for k, v in values.items())
    model.graph.node.append(helper.make_node("DequantizeLinear", ["b_q", "b_s"], ["b"], name="bias"))
    with pytest.raises(QuantizationError, match="bias must be int8, got int32; leave biases in floating point"):
        check_qdq(model, "block")


def test_a_transposed_weight_keeps_its_channels(model: onnx.ModelProto) -> None:
    """Gemm's transB written out: the scales move with the axis, and the wrong axis is still found."""
    layer = next(node for node in model.graph.node if node.name == "head")
    weight = layer.input[1]
    layer.input[1] = "head.turned"
    layer.attribute.remove(next(a for a in layer.attribute if a.name == "transB"))
    place = list(model.graph.node).index(layer)
    model.graph.node.insert(place, helper.make_node("Transpose", [weight], ["head.turned"], perm=[1, 0]))
    assert {layer.name: layer.kind for layer in check_qdq(model, "block")}["head"] == "int8"
    node = node_before(model, "head", 1, "DequantizeLinear")
    del node.attribute[:]
    node.attribute.append(helper.make_attribute("axis", 1))
    with pytest.raises(QuantizationError, match="head has a weight"):
        check_qdq(model, "block")
