"""Roundings are taken out of a graph, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from vljepa_edge.errors import GraphError
from vljepa_edge.onnx_graphs.weights import store_weights, without_rounding

RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(8, 6)).astype(np.float32)
LEVELS = np.clip(np.rint(MATRIX / 0.02), -127, 127).astype(np.int8)


def build(nodes: list[onnx.NodeProto], weights: dict[str, NDArray[Any]], kind: int = TensorProto.FLOAT) -> bytes:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 8])
    y = helper.make_tensor_value_info("y", kind, ["rows", "columns"])
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "graph", [x], [y], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def run(model: bytes, x: NDArray[Any]) -> NDArray[Any]:
    (y,) = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    return np.asarray(y)


def rounding(name: str, source: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [source, f"{name}_scale", f"{name}_zero"], [f"{name}_levels"]),
        helper.make_node("DequantizeLinear", [f"{name}_levels", f"{name}_scale", f"{name}_zero"], [name]),
    ]


def scales(*names: str) -> dict[str, NDArray[Any]]:
    return {f"{name}_scale": np.float32(0.1) for name in names} | {f"{name}_zero": np.int8(0) for name in names}


LAYER = [
    helper.make_node("DequantizeLinear", ["levels", "step", "zero"], ["weight"], axis=1),
    helper.make_node("MatMul", ["rounded", "weight"], ["product"]),
]
WEIGHT = {"levels": LEVELS, "step": np.full(6, 0.02, np.float32), "zero": np.zeros(6, np.int8)}


def test_a_rounded_layer_becomes_the_layer_of_its_stored_weights() -> None:
    nodes = [*rounding("once", "x"), *rounding("rounded", "once"), *LAYER, *rounding("y", "product")]
    model = build(nodes, {**scales("once", "rounded", "y"), **WEIGHT})
    x = RNG.normal(size=(2, 8)).astype(np.float32)
    exact = x @ (LEVELS.astype(np.float32) * 0.02)
    plain = without_rounding(model)
    np.testing.assert_allclose(run(plain, x), exact, rtol=1e-5, atol=1e-6)
    assert np.abs(run(model, x) - exact).max() > 1e-3
    graph = onnx.load_from_string(plain).graph
    assert {node.op_type for node in graph.node} <= {"MatMul", "Identity"}
    assert [weight.name for weight in graph.initializer] == ["weight"]


def test_a_graph_in_16_bits_only_gets_its_weights_back() -> None:
    matrix = RNG.normal(size=(8, 256)).astype(np.float32)
    model = build([helper.make_node("MatMul", ["x", "weight"], ["y"])], {"weight": matrix})
    (weight,) = onnx.load_from_string(without_rounding(store_weights(model, 16))).graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(weight), matrix.astype(np.float16).astype(np.float32))


def test_levels_that_something_else_reads_are_refused() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "a_scale", "a_zero"], ["levels"]),
        helper.make_node("Cast", ["levels"], ["y"], "take", to=TensorProto.FLOAT),
    ]
    with pytest.raises(GraphError, match="graph: Cast take reads 8-bit levels"):
        without_rounding(build(nodes, scales("a")))
