"""Explicit symmetric INT8 with ONNX Runtime's static quantiser: QuantizeLinear and DequantizeLinear around each layer.

Activations have one scale a tensor, weights one a channel, zero points are 0: what TensorRT takes, and what OpenVINO
and ONNX Runtime run with int8 kernels. Only products and convolutions with constant weights are layers; attention's own
products, norms, softmax and the residual stay as they are.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from vljepa_edge.export.int8.calibration import Arrays
from vljepa_edge.onnx_graphs.weights import PROTOBUF_MOST

KINDS = ("MatMul", "Gemm", "Conv")
_SMALLEST = 1024  # weights with fewer numbers than this are not worth two nodes


def layers(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that can be quantised, in the graph's order."""
    weights = {w.name: w for w in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in KINDS and node.input[1] in weights and _size(weights[node.input[1]]) >= _SMALLEST
    ]


def is_transposed(layer: onnx.NodeProto) -> bool:
    """Whether a product's weight has its output channels first: a Gemm with transB."""
    return any(a.name == "transB" and a.i for a in layer.attribute)


def prepare(model: onnx.ModelProto) -> None:
    """Give every node a name of its own and make every constant an initialiser, in place.

    Layers are known by name, and weights looked up among the initialisers: PyTorch's exporter writes small ones as
    Constant nodes, and weights of equal value as the Identity of the first; bundles store an output layer that is tied
    to the embedding table as the Transpose of it.
    """
    graph = model.graph
    weights = {weight.name: weight for weight in graph.initializer}
    same: dict[str, str] = {}
    taken: set[str] = set()
    nodes = []
    for i, node in enumerate(graph.node):
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constant = graph.initializer.add()
            constant.CopyFrom(node.attribute[0].t)
            constant.name = node.output[0]
            continue
        if node.op_type == "Identity" and node.input[0] in weights:
            same[node.output[0]] = node.input[0]
            continue
        for place, name in enumerate(node.input):
            node.input[place] = same.get(name, name)
        if node.op_type == "Transpose" and node.input[0] in weights:
            array = numpy_helper.to_array(weights[node.input[0]])
            axes = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
            graph.initializer.append(numpy_helper.from_array(array.transpose(axes), node.output[0]))
            continue
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{i}"
        taken.add(node.name)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def quantise(model: onnx.ModelProto, names: Sequence[str], inputs: Sequence[Arrays]) -> onnx.ModelProto:
    """`model` with QDQ around the layers of these names, ranges from `inputs` (the largest value seen)."""
    if not names:  # which the quantiser takes for all
        unchanged = onnx.ModelProto()
        unchanged.CopyFrom(model)
        return unchanged
    with tempfile.TemporaryDirectory(prefix="vljepa-export-") as folder:
        float_file, out = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        large = model.ByteSize() > PROTOBUF_MOST
        onnx.save(model, float_file, save_as_external_data=large)
        logger = logging.getLogger()
        level = logger.level
        logger.setLevel(logging.ERROR)  # it recommends a preprocessing that would fuse what must stay apart
        try:
            quantize_static(
                float_file, out, _Reader(inputs), quant_format=QuantFormat.QDQ, op_types_to_quantize=list(KINDS),
                per_channel=True, reduce_range=True, activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
                nodes_to_quantize=list(names), calibrate_method=CalibrationMethod.MinMax,
                use_external_data_format=large,
                extra_options={
                    "ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False,
                    "OpTypesToExcludeOutputQuantization": list(KINDS),
                },
            )  # fmt: skip
        finally:
            logger.setLevel(level)
        quantised = onnx.load(out)
    # The quantiser leads every reader of a rounded value to it, the residual too where norms come last (BERT).
    return keep_float(quantised, model, {node.name for node in model.graph.node} - set(names))


def keep_float(quantised: onnx.ModelProto, original: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """`quantised` with the layers of these names as they are in `original`, the model that it was made from."""
    mixed = onnx.ModelProto()
    mixed.CopyFrom(quantised)
    before = {node.name: node for node in original.graph.node}
    constants = {weight.name: weight for weight in original.graph.initializer}
    present = {weight.name for weight in mixed.graph.initializer}
    for node in mixed.graph.node:
        if node.name in names:
            for i, name in enumerate(before[node.name].input):
                node.input[i] = name
                if name in constants and name not in present:
                    mixed.graph.initializer.append(constants[name])
                    present.add(name)
    _drop_unread(mixed)
    return mixed


def _drop_unread(model: onnx.ModelProto) -> None:
    graph = model.graph
    read = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if read.intersection(node.output):
            kept.append(node)
            read.update(node.input)
    weights = [weight for weight in graph.initializer if weight.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(weights)


def _size(tensor: onnx.TensorProto) -> int:
    size = 1
    for n in tensor.dims:
        size *= n
    return size


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, inputs: Sequence[Arrays]) -> None:
        self._rest = iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._rest, None)
