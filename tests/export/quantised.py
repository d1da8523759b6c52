"""A small transformer block, and its INT8 form as ONNX Runtime's own quantiser writes it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

WIDTH, HEADS, TOKENS = 64, 4, 12
WEIGHT_LAYERS = ("patch", "qkv", "out", "up", "down", "head")
Feed = dict[str, NDArray[Any]]


def transformer(seed: int = 0, outlier: float = 1.0) -> onnx.ModelProto:
    """pixels uint8 [1, 16, 16, 3], tokens [1, L, WIDTH] -> states [1, L + 16, WIDTH], unit embedding [1, WIDTH].

    A convolution, RMS norm written out, attention, LayerNorm, GELU, mean and head. `outlier` multiplies a channel of
    the residual.
    """
    rng = np.random.default_rng(seed)
    nodes: list[onnx.NodeProto] = []
    constants: list[TensorProto] = []

    def const(value: Any, name: str = "", dtype: type = np.float32) -> str:
        name = name or f"c{len(constants)}"
        constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def op(kind: str, *inputs: str, out: str = "", name: str = "", **attributes: Any) -> str:
        out = out or f"t{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [out], name=name or f"{kind}_{len(nodes)}", **attributes))
        return out

    def linear(x: str, wide: int, name: str) -> str:
        weight = const(rng.normal(size=(WIDTH if name != "down" else 2 * WIDTH, wide)) / 8, f"{name}.weight")
        return op("Add", op("MatMul", x, weight, name=name), const(rng.normal(size=wide) / 8))

    def ints(*values: int) -> str:
        return const(values, dtype=np.int64)

    pixels = op("Cast", op("Transpose", "pixels", perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    scaled = op("Div", op("Sub", pixels, const(127.5)), const(64.0))
    kernel = const(rng.normal(size=(WIDTH, 3, 4, 4)) / 8, "patch.weight")
    patches = op("Conv", scaled, kernel, name="patch", strides=[4, 4])
    flat = op("Transpose", op("Reshape", patches, ints(1, WIDTH, 16)), perm=[0, 2, 1])
    scale = np.ones(WIDTH)
    scale[3] = outlier
    x = op("Mul", op("Concat", flat, "tokens", axis=1), const(scale))
    square = op("ReduceMean", op("Pow", x, const(2.0)), ints(-1), keepdims=1)
    root = op("Sqrt", op("Add", square, const(1e-6)))
    normed = op("Mul", op("Div", x, root), const(rng.uniform(0.5, 1.5, WIDTH)))
    qkv = op("Reshape", linear(normed, 3 * WIDTH, "qkv"), ints(1, -1, 3, HEADS, WIDTH // HEADS))
    q, k, v = (op("Gather", qkv, const(i, dtype=np.int64), axis=2) for i in range(3))
    q, v = (op("Transpose", t, perm=[0, 2, 1, 3]) for t in (q, v))
    scores = op("MatMul", q, op("Transpose", k, perm=[0, 2, 3, 1]), name="scores")
    attended = op("MatMul", op("Softmax", op("Mul", scores, const((WIDTH // HEADS) ** -0.5))), v, name="mix")
    joined = op("Reshape", op("Transpose", attended, perm=[0, 2, 1, 3]), ints(1, -1, WIDTH))
    x = op("Add", x, linear(joined, WIDTH, "out"))
    normed = op("LayerNormalization", x, const(np.ones(WIDTH)), const(np.zeros(WIDTH)), axis=-1, epsilon=1e-12)
    inner = op("Gelu", linear(normed, 2 * WIDTH, "up"))
    x = op("Add", x, linear(inner, WIDTH, "down"), out="states")
    mean = op("ReduceMean", x, ints(1), keepdims=0)
    weight = const(rng.normal(size=(WIDTH, WIDTH)) / 8, "head.weight")
    embedded = op("Gemm", mean, weight, const(rng.normal(size=WIDTH) / 8), name="head", transB=1)
    norm = op("Clip", op("ReduceL2", embedded, ints(-1), keepdims=1), const(1e-12))
    op("Div", embedded, norm, out="embedding")
    inputs = [
        helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, 16, 16, 3]),
        helper.make_tensor_value_info("tokens", TensorProto.FLOAT, [1, "L", WIDTH]),
    ]
    outputs = [
        helper.make_tensor_value_info("states", TensorProto.FLOAT, [1, "M", WIDTH]),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, WIDTH]),
    ]
    graph = helper.make_graph(nodes, "block", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def feed(seed: int, length: int = TOKENS) -> Feed:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (1, 16, 16, 3)).astype(np.uint8)
    return {"pixels": pixels, "tokens": rng.normal(size=(1, length, WIDTH)).astype(np.float32)}


def quantise(model: onnx.ModelProto, feeds: Iterable[Feed], folder: Path) -> onnx.ModelProto:
    """Every Conv, MatMul and Gemm with a stored weight in symmetric int8, calibrated on `feeds`."""
    waiting = iter(feeds)

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> Feed | None:
            return next(waiting, None)

    stored = {tensor.name for tensor in model.graph.initializer}
    onnx.save(model, folder / "float.onnx")
    quantize_static(
        folder / "float.onnx", folder / "int8.onnx", Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["Conv", "MatMul", "Gemm"],
        nodes_to_exclude=[n.name for n in model.graph.node if n.op_type == "MatMul" and n.input[1] not in stored],
        extra_options={
            "ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": ["Conv", "MatMul", "Gemm"],
        },
    )  # fmt: skip
    return onnx.load(folder / "int8.onnx")


def quantised_block(folder: Path, outlier: float = 1.0) -> onnx.ModelProto:
    return quantise(transformer(outlier=outlier), (feed(seed) for seed in range(8)), folder)


def with_plain_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same float model without the nodes that only say how a weight is stored, as a quantiser wants it."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    stored = {tensor.name: tensor for tensor in plain.graph.initializer}
    kept = []
    for node in sorted(plain.graph.node, key=lambda node: node.op_type != "Cast"):
        if node.op_type in ("Cast", "Identity") and node.input[0] in stored:
            value = numpy_helper.to_array(stored[node.input[0]]).astype(np.float32)
            stored[node.output[0]] = numpy_helper.from_array(value, node.output[0])
            plain.graph.initializer.append(stored[node.output[0]])
        else:
            kept.append(node.output[0])
    nodes = [node for node in plain.graph.node if node.output[0] in kept]
    del plain.graph.node[:]
    plain.graph.node.extend(nodes)
    return plain
