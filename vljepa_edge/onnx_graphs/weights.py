"""The weights of an ONNX graph: stored in 16 or 8 bits, and restored to 32.

Weights shrink, activations stay fp32: each stored weight is followed by a Cast or DequantizeLinear, which engines fold
while they compile. So a graph means the same on every engine, and the engine decides what it computes in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from vljepa_edge.errors import GraphError

PROTOBUF_MOST = 2_000_000_000  # bytes of one message, a little under its limit
_QDQ = ("QuantizeLinear", "DequantizeLinear")
_SMALLEST = 1024  # weights with fewer numbers than this stay as they are
_LARGEST = float(np.finfo(np.float16).max)  # so do those with larger ones, such as masks of -1e9


def fits_half(array: NDArray[Any]) -> bool:
    """Whether a weight is stored in fewer bits: fp32, large enough to matter, no number beyond what fp16 holds."""
    return array.dtype == np.float32 and array.size >= _SMALLEST and not np.abs(array).max() > _LARGEST


def store_weights(model: bytes, bits: int, table_bits: int | None = None) -> bytes:
    """The same graph with its large weights kept at 16 bits (float) or at 8 (symmetric, one scale a row or output
    channel). `table_bits`: of embedding tables, when they are stored otherwise. What QDQ nodes read stays as it is. An
    output layer that is an embedding table's transpose is read from the table where both are stored alike."""
    proto = onnx.load_from_string(model)
    graph = proto.graph
    tied = _tie(graph) if table_bits in (None, bits) else []
    scales = {name for node in graph.node if node.op_type in _QDQ for name in node.input[1:]}
    tables = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    kept, added = [], []
    for weight in graph.initializer:
        array = numpy_helper.to_array(weight)
        wanted = table_bits if table_bits is not None and weight.name in tables else bits
        if weight.name in scales or not fits_half(array):
            kept.append(weight)
        elif wanted == 8 and array.ndim == 2:
            axis = _channel_axis(graph, weight.name)
            tensors, node = _as_int8(weight.name, array, axis)
            kept.extend(tensors)
            added.append(node)
        else:
            kept.append(numpy_helper.from_array(array.astype(np.float16), weight.name + "/f16"))
            added.append(helper.make_node("Cast", [weight.name + "/f16"], [weight.name], to=TensorProto.FLOAT))
    del graph.initializer[:]
    graph.initializer.extend(kept)
    nodes = [*added, *tied, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(proto)
    stored: bytes = proto.SerializeToString()
    return stored


def is_quantised(model: bytes) -> bool:
    """Whether activations are rounded to 8 bits in this graph."""
    return any(node.op_type == "QuantizeLinear" for node in onnx.load_from_string(model).graph.node)


def has_8bit_weights(model: bytes) -> bool:
    """Whether store_weights(model, 8) made this graph."""
    return any(node.op_type == "DequantizeLinear" for node in onnx.load_from_string(model).graph.node)


def restore_weights(model: bytes) -> bytes:
    """The reverse of store_weights: the same graph with its weights at fp32, of the values that were stored."""
    proto = onnx.load_from_string(model)
    graph = proto.graph
    weights = {weight.name: weight for weight in graph.initializer}
    nodes, stored = [], set()
    for node in graph.node:
        if node.op_type in ("Cast", "DequantizeLinear") and all(name in weights for name in node.input):
            arrays = [numpy_helper.to_array(weights[name]) for name in node.input]
            value = arrays[0].astype(np.float32)
            if node.op_type == "DequantizeLinear":
                value = dequantised(node, arrays)
            elif helper.get_attribute_value(node.attribute[0]) != TensorProto.FLOAT:
                nodes.append(node)
                continue
            weights[node.output[0]] = numpy_helper.from_array(value, node.output[0])
            stored.update(node.input)
        else:
            nodes.append(node)
    read = {name for node in nodes for name in node.input} | {output.name for output in graph.output}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(w for name, w in weights.items() if name in read or name not in stored)
    restored: bytes = proto.SerializeToString()
    return restored


def without_rounding(model: bytes) -> bytes:
    """The same graph in floating point: weights at fp32, of the values that were stored, and no activation rounded to 8
    bits on its way. Raises GraphError where a rounded activation goes anywhere but back to a number."""
    proto = onnx.load_from_string(restore_weights(model))
    graph = proto.graph
    rounded = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    exact = {
        node.output[0]: rounded[node.input[0]]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in rounded
    }
    for name, source in exact.items():  # of two roundings in a row
        while source in exact:
            source = exact[source]
        exact[name] = source
    nodes = [node for node in graph.node if node.output[0] not in rounded and node.output[0] not in exact]
    for node in nodes:
        for i, name in enumerate(node.input):
            if name in rounded:
                raise GraphError(graph.name, f"{node.op_type} {node.name} reads 8-bit levels; only QDQ can be undone")
            node.input[i] = exact.get(name, name)
    for output in graph.output:
        if output.name in exact:
            nodes.append(helper.make_node("Identity", [exact[output.name]], [output.name]))
    read = {name for node in nodes for name in node.input} | {output.name for output in graph.output}
    kept = [weight for weight in graph.initializer if weight.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    whole: bytes = proto.SerializeToString()
    return whole


def dequantised(node: onnx.NodeProto, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """(levels - zero point) * scale along the node's axis."""
    axis = next((int(a.i) for a in node.attribute if a.name == "axis"), 1)
    shape = [-1 if i == axis % arrays[0].ndim else 1 for i in range(arrays[0].ndim)]
    scale, *zero = (x.reshape(shape) if x.size > 1 else x.reshape(()) for x in arrays[1:])
    levels = arrays[0].astype(np.float32)
    return np.asarray((levels - zero[0].astype(np.float32) if zero else levels) * scale)


def _tie(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Drop every weight that is the transpose of an embedding table; returns the nodes that make it of the table."""
    matrices = {w.name: w for w in graph.initializer if len(w.dims) == 2}
    tables = {node.input[0] for node in graph.node if node.op_type == "Gather"} & set(matrices)
    copies = {
        name: table
        for table in sorted(tables)
        for name, matrix in matrices.items()
        if name not in tables and _is_transpose(matrix, matrices[table])
    }
    kept = [w for w in graph.initializer if w.name not in copies]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return [helper.make_node("Transpose", [table], [name], perm=[1, 0]) for name, table in copies.items()]


def _is_transpose(a: TensorProto, b: TensorProto) -> bool:
    """Shapes first: reading a weight copies it."""
    same_shape = list(a.dims) == list(b.dims)[::-1]
    return same_shape and np.array_equal(numpy_helper.to_array(a).T, numpy_helper.to_array(b))


def _channel_axis(graph: onnx.GraphProto, name: str) -> int:
    """Which axis of a 2-d weight holds its independent channels: rows of a table or of a transposed weight, else
    columns."""
    for node in graph.node:
        if name in node.input:
            if node.op_type == "Gather" or (
                node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
            ):
                return 0
            return 0 if node.op_type == "Transpose" else 1
    return 1


def _as_int8(name: str, array: np.ndarray, axis: int) -> tuple[list[TensorProto], onnx.NodeProto]:
    scale = np.abs(array).max(axis=1 - axis, keepdims=True) / 127.0
    scale = np.where(scale == 0, 1.0, scale).astype(np.float32)
    levels = np.clip(np.rint(array / scale), -127, 127).astype(np.int8)
    tensors = [
        numpy_helper.from_array(levels, name + "/i8"),
        numpy_helper.from_array(scale.reshape(-1), name + "/scale"),
    ]
    return tensors, helper.make_node("DequantizeLinear", [name + "/i8", name + "/scale"], [name], axis=axis)
