"""The fp16 form of a graph agrees with its fp32 form in ONNX Runtime, where a careless one does not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.engines.chain import cosine
from tests.export.quantised import feed, quantised_block, transformer
from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.errors import GraphError
from vljepa_edge.onnx_graphs.half import marked_f32, needs_f32, to_half
from vljepa_edge.onnx_graphs.qdq_check import check_qdq


def half(model: onnx.ModelProto) -> onnx.ModelProto:
    made = to_half(model, check_qdq(model, "graph"), "graph")
    onnx.checker.check_model(made, full_check=True)
    return made


def run(model: onnx.ModelProto, inputs: dict[str, Any]) -> list[NDArray[Any]]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # Fusing would hide what a node computes in.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: list[NDArray[Any]] = session.run(None, inputs)
    return found


def small(
    nodes: list[onnx.NodeProto],
    shape: list[Any],
    constants: dict[str, Any],
    kind: int = TensorProto.FLOAT,
    rank: int = 2,
) -> onnx.ModelProto:
    """x -> y, of a rank."""
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [f"y{i}" for i in range(rank)])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("outlier", [1.0, 3000.0])
@pytest.mark.parametrize("length", [1, 12, 33])
def test_a_transformer_agrees(length: int, outlier: float) -> None:
    """At 3000 the outlier's square is far beyond fp16."""
    model = transformer(outlier=outlier)
    made = half(model)
    for seed in range(3):
        for given, expected in zip(run(made, feed(seed, length)), run(model, feed(seed, length)), strict=True):
            assert given.dtype == np.float32
            assert cosine(given, expected) > 0.9999


def test_an_int8_transformer_agrees(tmp_path: Path) -> None:
    model = quantised_block(tmp_path)
    made = half(model)
    for seed in range(5):
        given, expected = (run(m, feed(seed))[1] for m in (made, model))
        assert cosine(given, expected) > 0.998


def test_layers_compute_in_fp16_and_norms_in_fp32() -> None:
    made = half(transformer())
    inferred = onnx.shape_inference.infer_shapes(made).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*inferred.value_info, *inferred.output)}
    types |= {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    kinds = {"half": TensorProto.FLOAT16, "full": TensorProto.FLOAT}
    found: dict[str, set[int]] = {}
    for node in made.graph.node:
        found.setdefault(node.op_type, set()).add(types[node.output[0]])
    for name in ("Conv", "MatMul", "Gemm", "Softmax", "Gelu", "Concat"):
        assert found[name] == {kinds["half"]}, name
    for name in ("Pow", "ReduceMean", "Sqrt", "ReduceL2", "LayerNormalization", "Clip", "Div"):
        assert found[name] <= {kinds["full"], kinds["half"]} and kinds["full"] in found[name], name
    weights = {tensor.name: tensor.data_type for tensor in made.graph.initializer if ".weight" in tensor.name}
    assert set(weights.values()) == {kinds["half"]}
    values = [*made.graph.input, *made.graph.output]
    assert {v.name: v.type.tensor_type.elem_type for v in values} == {
        "pixels": TensorProto.UINT8, "tokens": kinds["full"], "states": kinds["full"], "embedding": kinds["full"],
    }  # fmt: skip


def test_a_graph_that_is_marked_computes_in_fp32_and_keeps_tables_as_they_are_stored() -> None:
    stored = small(
        [
            helper.make_node("Cast", ["table"], ["wide"], to=TensorProto.FLOAT),
            helper.make_node("Cast", ["w"], ["weights"], to=TensorProto.FLOAT),
            helper.make_node("Gather", ["wide", "x"], ["rows"]),
            helper.make_node("MatMul", ["rows", "weights"], ["large"]),
            helper.make_node("MatMul", ["large", "back"], ["y"]),
        ],
        ["n"],
        {
            "table": np.linspace(-2, 2, 2048 * 8, dtype=np.float16).reshape(2048, 8),
            "w": np.full((8, 8), 30000, np.float16) * np.eye(8, dtype=np.float16),
            "back": np.eye(8, dtype=np.float32)[::-1] / 3,
        },
        TensorProto.INT64,
    )
    inputs = {"x": np.array([5, 2047])}
    (expected,) = run(stored, inputs)
    assert np.abs(expected).max() < 65504 < np.abs(expected * 3).max() * 1.1
    marked = onnx.load_from_string(marked_f32(stored.SerializeToString()))
    assert needs_f32(marked) and not needs_f32(stored)
    made = to_half(marked, (), "graph", f32=True)
    (found,) = run(made, inputs)
    np.testing.assert_array_equal(found, expected)
    kinds = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    assert sorted(kinds.values()) == [TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT16], kinds


def test_an_epsilon_that_fp16_rounds_to_zero_still_protects() -> None:
    nodes = [
        helper.make_node("ReduceL2", ["x", "axes"], ["n"], keepdims=1),
        helper.make_node("Clip", ["n", "eps"], ["c"]),
        helper.make_node("Div", ["x", "c"], ["y"]),
    ]
    model = small(nodes, [2, 4], {"axes": np.array([-1]), "eps": np.float32(1e-12)})
    (given,) = run(half(model), {"x": np.zeros((2, 4), np.float32)})
    np.testing.assert_array_equal(given, 0)


def test_an_rms_norm_beyond_256_is_right() -> None:
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["s"]),
        helper.make_node("ReduceMean", ["s", "axes"], ["m"], keepdims=1),
        helper.make_node("Add", ["m", "eps"], ["e"]),
        helper.make_node("Sqrt", ["e"], ["r"]),
        helper.make_node("Div", ["x", "r"], ["y"]),
    ]
    model = small(nodes, [1, 8], {"axes": np.array([-1]), "eps": np.float32(1e-6)})
    x = np.linspace(-30000, 30000, 8, dtype=np.float32)[None]
    np.testing.assert_allclose(run(half(model), {"x": x})[0], run(model, {"x": x})[0], rtol=2e-3)


def test_angles_of_late_positions_are_right() -> None:
    """fp16 has no odd integers above 2048, and an angle of 400 rad is off by 0.1 in it."""
    nodes = [
        helper.make_node("Cast", ["x"], ["p"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["p", "frequencies"], ["a"]),
        helper.make_node("Cos", ["a"], ["y"]),
    ]
    frequencies = np.array([[1.0, 0.1, 0.01]], np.float32)
    model = small(nodes, ["L", 1], {"frequencies": frequencies}, TensorProto.INT64)
    x = np.arange(2000, 4097, 7)[:, None]
    np.testing.assert_allclose(run(half(model), {"x": x})[0], np.cos(x * frequencies.astype(np.float64)), atol=2e-3)


def test_masks_stay_finite_and_weights_are_not_touched() -> None:
    nodes = [helper.make_node("Add", ["x", "mask"], ["s"]), helper.make_node("Softmax", ["s"], ["y"])]
    mask = np.array([0, np.finfo(np.float32).min, -1e9, 0, -30000], np.float32)
    model = small(nodes, [1, 5], {"mask": mask})
    made = half(model)
    (given,) = run(made, {"x": np.full((1, 5), -500, np.float32)})
    np.testing.assert_allclose(given, [[0.5, 0, 0, 0.5, 0]])
    stored = numpy_helper.to_array(made.graph.initializer[0])
    assert np.isfinite(stored).all() and stored[4] == np.float16(-30000)


def test_small_int8_scales_keep_their_weights(tmp_path: Path) -> None:
    """Scales below fp16's normal range: rounded to nearest they would scale a weight by up to a few per cent."""
    rng = np.random.default_rng(0)
    scale = np.geomspace(2e-7, 1e-2, 16).astype(np.float32)
    levels = rng.integers(-127, 128, (8, 16)).astype(np.int8)
    constants = {
        "s": np.float32(0.02), "z": np.int8(0), "w": levels, "ws": scale, "wz": np.zeros(16, np.int8),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["v"], axis=1),
        helper.make_node("MatMul", ["d", "v"], ["y"]),
    ]
    model = small(nodes, [1, 8], constants)
    stored = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in half(model).graph.initializer}
    made = stored["w"] * stored["ws/as_f16"]
    assert (np.abs(made - levels * scale.astype(np.float64)) <= 0.51 * stored["ws/as_f16"] + 1e-12).all()
    assert np.abs(stored["w"]).max() <= 127
    worst = np.abs(made - levels * scale).max(0) / np.abs(levels * scale).max(0)
    assert worst.max() < 0.5 and np.median(worst) < 0.005


def test_stored_weights_are_decoded_and_shared_casts_written_once() -> None:
    weight = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float16)
    nodes = [
        helper.make_node("Cast", ["w16"], ["w"], to=TensorProto.FLOAT),
        helper.make_node("DequantizeLinear", ["t8", "ts"], ["t"], axis=0),
        helper.make_node("Gather", ["t", "x"], ["g"]),
        helper.make_node("MatMul", ["g", "w"], ["a"]),
        helper.make_node("ReduceSum", ["a", "axes"], ["b"], keepdims=1),
        helper.make_node("Pow", ["a", "two"], ["c"]),
        helper.make_node("Add", ["b", "c"], ["y"]),
    ]
    table = np.arange(-4, 4, dtype=np.int8).reshape(2, 4)
    constants = {
        "w16": weight, "t8": table, "ts": np.array([0.5, 0.25], np.float32), "axes": np.array([-1]),
        "two": np.float32(2),
    }  # fmt: skip
    model = small(nodes, [3], constants, TensorProto.INT64)
    made = half(model)
    counts = Counter(node.op_type for node in made.graph.node)
    assert counts["DequantizeLinear"] == 0 and counts["Cast"] == 1  # of `a`, which both sums read
    x = np.array([0, 1, 1])
    np.testing.assert_allclose(run(made, {"x": x})[0], run(model, {"x": x})[0], rtol=5e-3)


ROLES = ["x_encoder_appearance", "x_encoder_motion", "query", "predictor", "y_decoder"]
AXES = {"Slice": 3, "Squeeze": 1, "Unsqueeze": 1, "Pad": 3}  # the input that names axes; 1 in reductions


@pytest.mark.parametrize("role", ROLES)
def test_each_graph_of_the_default_bundle_agrees(role: str) -> None:
    bundle = Bundle.open(default_bundle())
    entry = bundle.manifest.graphs[role]
    model = onnx.load_from_string(bundle.read(entry.file))
    rng = np.random.default_rng(0)
    inputs: dict[str, NDArray[Any]] = {}
    for tensor in entry.inputs:
        shape = [1 if size < 0 and axis == 0 else 7 if size < 0 else size for axis, size in enumerate(tensor.shape)]
        if tensor.dtype == "float32":
            inputs[tensor.name] = rng.normal(size=shape).astype(np.float32)
        else:
            inputs[tensor.name] = rng.integers(1, 2 if "mask" in tensor.name else 250, shape).astype(tensor.dtype)
    for given, expected in zip(run(half(model), inputs), run(model, inputs), strict=True):
        assert cosine(given, expected) > 0.998


@pytest.mark.parametrize("role", ROLES)
def test_axes_are_initializers_as_the_parser_of_tensorrt_10_wants_them(role: str) -> None:
    bundle = Bundle.open(default_bundle())
    made = half(onnx.load_from_string(bundle.read(bundle.manifest.graphs[role].file))).graph
    stored = {tensor.name for tensor in made.initializer}
    for node in made.node:
        place = 1 if node.op_type.startswith("Reduce") else AXES.get(node.op_type, len(node.input))
        assert set(node.input[place : place + 1]) <= stored | {""}, node.name
        assert node.op_type != "Constant" or node.attribute[0].name != "value"


def test_the_scales_of_a_resize_stay_fp32() -> None:
    """ONNX has them in no other type."""
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="linear")
    model = small([node], [1, 1, 4, 4], {"scales": np.array([1, 1, 2, 2], np.float32)}, rank=4)
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    np.testing.assert_allclose(run(half(model), {"x": x})[0], run(model, {"x": x})[0], rtol=2e-3)


def test_branches_are_refused() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["b"])], "b", [], [helper.make_tensor_value_info("b", 1, [1])]
    )
    node = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
    with pytest.raises(GraphError, match=r"graph: holds functions or branches \(If, Loop, Scan\)"):
        to_half(small([node], [1], {"c": np.array(True)}, rank=1), (), "graph")


def test_a_scale_beyond_fp16_is_refused() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    with pytest.raises(GraphError, match=r"has a scale of 70000.0 \(s\), which fp16 can't hold"):
        half(small(nodes, [1], {"s": np.float32(70000), "z": np.int8(0)}, rank=1))
