"""PyTorch module -> lean ONNX bytes, and storing its weights in 16 or 8 bits.

Weights shrink, activations stay fp32: each stored weight is followed by a Cast or DequantizeLinear, which engines fold
while they compile. So a graph means the same on every engine, and the engine decides what it computes in.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

OPSET = 20
_SMALLEST = 1024  # weights with fewer numbers than this stay as they are
_LARGEST = float(np.finfo(np.float16).max)  # so do those with larger ones, such as masks of -1e9


def export_module(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
) -> bytes:
    """Trace `module(*inputs.values())` into an ONNX graph. `dynamic`: input or output name -> {axis: name of the free
    dimension}."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the tracer's own notices; the tests check the result against torch
        torch.onnx.export(
            module.eval(), tuple(inputs.values()), buffer,  # type: ignore[arg-type]
            input_names=list(inputs), output_names=list(outputs),
            dynamic_axes={k: dict(v) for k, v in (dynamic or {}).items()}, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    return buffer.getvalue()


def store_weights(model: bytes, bits: int) -> bytes:
    """The same graph with its large weights kept at 16 bits (float) or at 8 (symmetric, one scale a row or output
    channel)."""
    proto = onnx.load_from_string(model)
    graph = proto.graph
    kept, added = [], []
    for weight in graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.dtype != np.float32 or array.size < _SMALLEST or np.abs(array).max() > _LARGEST:
            kept.append(weight)
        elif bits == 8 and array.ndim == 2:
            axis = _channel_axis(graph, weight.name)
            tensors, node = _as_int8(weight.name, array, axis)
            kept.extend(tensors)
            added.append(node)
        else:
            kept.append(numpy_helper.from_array(array.astype(np.float16), weight.name + "/f16"))
            added.append(helper.make_node("Cast", [weight.name + "/f16"], [weight.name], to=TensorProto.FLOAT))
    del graph.initializer[:]
    graph.initializer.extend(kept)
    nodes = [*added, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(proto)
    stored: bytes = proto.SerializeToString()
    return stored


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
