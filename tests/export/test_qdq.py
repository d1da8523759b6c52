"""The INT8 graph: what is quantised and how; every engine agrees on it, and OpenVINO runs it with INT8 kernels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.export.encoders import Example, llama, net, post_norm, x_encoder
from tests.export.run_graph import run_all
from vljepa_edge.engines import open_engine
from vljepa_edge.export.int8.fidelity import fidelity
from vljepa_edge.export.int8.qdq import KINDS, keep_float, layers, quantise
from vljepa_edge.export.int8.smooth import smooth
from vljepa_edge.onnx_graphs.weights import restore_weights, store_weights
from vljepa_edge.support.quiet_openvino import shared_core

EXAMPLES: dict[str, Callable[[], Example]] = {
    "x_encoder": x_encoder,
    "llama": llama,
    "net": net,
    "post_norm": post_norm,
}


class Made:
    def __init__(self, name: str) -> None:
        self.example = EXAMPLES[name]()
        self.names = layers(self.example.model)
        self.expected = run_all(self.example.model.SerializeToString(), self.example.held_out)
        self.original = onnx.ModelProto()
        self.original.CopyFrom(self.example.model)
        smooth(self.original, self.example.fit)
        self.quantised = quantise(self.original, self.names, self.example.fit)


@pytest.fixture(scope="module", params=list(EXAMPLES))
def made(request: pytest.FixtureRequest) -> Made:
    return Made(request.param)


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer}


def quantised_layers(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Layers whose weight and input both come out of a DequantizeLinear."""
    maker = {name: node.op_type for node in model.graph.node for name in node.output}
    return [
        node
        for node in model.graph.node
        if node.op_type in KINDS and all(maker.get(name) == "DequantizeLinear" for name in node.input[:2])
    ]


def test_every_layer_with_weights_is_int8_and_attention_itself_is_not(made: Made) -> None:
    found = {node.name for node in quantised_layers(made.quantised)}
    assert found == set(made.names) and len(found) == made.example.linears
    rounded = {node.output[0] for node in made.quantised.graph.node if node.op_type == "DequantizeLinear"}
    assert {node.name for node in made.quantised.graph.node if rounded.intersection(node.input)} == found
    products = [node for node in made.quantised.graph.node if node.op_type == "MatMul" and node.name not in found]
    assert len(products) == sum(node.op_type == "Softmax" for node in made.quantised.graph.node) * 2


def test_it_is_symmetric_with_a_scale_a_channel_and_no_sum_of_two_products_overflows_16_bits(made: Made) -> None:
    values = constants(made.quantised)
    weights = {node.input[1] for node in quantised_layers(made.quantised)}
    for node in made.quantised.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        zero = values[node.input[2]]
        assert zero.dtype == np.int8 and not zero.any()
        if node.output[0] in weights:
            levels, scale = values[node.input[0]], values[node.input[1]]
            assert levels.dtype == np.int8 and scale.size in levels.shape and scale.size > 1
            # x86 without VNNI adds two products of an unsigned activation in 16 bits and saturates
            assert 2 * 255 * int(np.abs(levels.astype(np.int32)).max()) <= np.iinfo(np.int16).max
        else:
            assert values[node.input[1]].size == 1


@pytest.mark.parametrize(("name", "precision"), [("openvino", "f32"), ("openvino", "auto"), ("torch", "auto")])
def test_engines_agree_with_onnx_runtime(made: Made, name: str, precision: str) -> None:
    stored = store_weights(made.quantised.SerializeToString(), 16)
    graph = open_engine(name, precision=precision).compile(stored, name)  # type: ignore[arg-type]
    found = [graph(inputs) for inputs in made.example.held_out]
    agreed = fidelity(run_all(stored, made.example.held_out), found)["y"]
    assert agreed.meets(0.998, 0.997), agreed


def test_it_is_close_to_fp32(made: Made) -> None:
    found = fidelity(made.expected, run_all(made.quantised.SerializeToString(), made.example.held_out))["y"]
    assert found.meets(0.99, 0.97), found
    assert found.mean < 1 - 1e-6  # something was rounded


def test_openvino_runs_every_layer_in_int8(made: Made) -> None:
    def kernels(model: onnx.ModelProto) -> Counter[str]:
        core = shared_core()
        compiled = core.compile_model(core.read_model(model.SerializeToString(), b""), "CPU")
        found: Counter[str] = Counter()
        for node in compiled.get_runtime_model().get_ops():
            about = {key: value.astype(str) for key, value in node.get_rt_info().items() if hasattr(value, "astype")}
            if about.get("layerType") in ("FullyConnected", "Convolution", "MatMul"):
                found[about["primitiveType"].rpartition("_")[2].lower()] += 1
        return found

    assert kernels(made.quantised)["i8"] >= made.example.linears
    assert kernels(made.original)["i8"] == 0


def test_a_layer_that_is_kept_float_is_the_original_one(made: Made) -> None:
    kept = made.names[0]
    mixed = keep_float(made.quantised, made.original, {kept})
    onnx.checker.check_model(mixed)
    assert {node.name for node in quantised_layers(mixed)} == set(made.names) - {kept}
    everything = keep_float(made.quantised, made.original, set(made.names))
    exact = fidelity(made.expected, run_all(everything.SerializeToString(), made.example.held_out))["y"]
    assert exact.worst > 1 - 1e-6
    assert not any("Linear" in node.op_type for node in everything.graph.node)


def test_storing_leaves_the_scales_alone_and_restoring_gives_the_same_answers(made: Made) -> None:
    stored = store_weights(made.quantised.SerializeToString(), 16, table_bits=8)
    assert len(quantised_layers(onnx.load_from_string(stored))) == made.example.linears
    expected, found = (run_all(m, made.example.held_out) for m in (stored, restore_weights(stored)))
    assert fidelity(expected, found)["y"].worst > 0.9999
