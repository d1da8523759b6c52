"""An ONNX graph as a PyTorch module: run by the torch engine's operations, its weights are parameters.

A bundle holds no checkpoint, only graphs. This makes one trainable as it is, whatever code it was exported from, and
writes it back.

* Weights that are stored in 16 or 8 bits are widened once, to fp32.
* Roundings of activations (QDQ) are taken out rather than trained through, so that gradients are exact. Of the default
  bundle's predictor the cosine to the rounded embedding is 0.9999 on average over the windows of bikes.mp4, 0.9996 at
  worst; tests/training/finetune/test_graph_module.py holds it above 0.999 on drawn clips.
* Parameters are what a layer multiplies by or adds: operands of MatMul, Gemm, Conv and norms, and vectors in Mul and
  Add, which is how norms and biases look once an exporter has taken them apart. All else stays constant: tables of
  rotary angles, masks, positions, epsilons, the statistics of a batch norm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from vljepa_edge.engines.torch.walk import StepError, initialisers, plan, walk
from vljepa_edge.errors import GraphError
from vljepa_edge.onnx_graphs.weights import is_quantised, store_weights, without_rounding

_OPERANDS = {
    "MatMul": (0, 1),
    "Gemm": (1, 2),
    "Conv": (1, 2),
    "BatchNormalization": (1, 2),
    "GroupNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "RMSNormalization": (1,),
}
"""Of each operation, the inputs that are weights."""
_VECTOR_OPERANDS = frozenset({"Add", "Mul"})
_RESHAPED = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""Operations that a weight may pass on its way to a layer."""


class GraphModule(nn.Module):
    """`weights[i]` is the parameter that the graph calls `names[i]`. Nothing in it is random.

    model: an ONNX graph; title: names it in messages. Raises GraphError for one without weights or that can't be run.
    """

    def __init__(self, model: bytes, title: str) -> None:
        super().__init__()
        self._title = title
        self._stored = onnx.inliner.inline_local_functions(onnx.load_from_string(model))
        self._model = onnx.load_from_string(without_rounding(self._stored.SerializeToString()))
        graph = self._model.graph
        constants = initialisers(graph)
        self.inputs = tuple(item.name for item in graph.input if item.name not in constants)
        self.outputs = tuple(item.name for item in graph.output)
        self.names = _weights(graph)
        if not self.names:
            raise GraphError(title, "has no weights to train: no layer of it reads a matrix of numbers")
        self.weights = nn.ParameterList(nn.Parameter(constants.pop(name)) for name in self.names)
        try:
            self._steps = plan(graph, constants, title)
        except StepError as error:
            raise GraphError(title, f"PyTorch can't run it: {error}") from error
        self._constants = constants

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The graph's outputs by name, for inputs of the shapes that the graph takes. Raises GraphError."""
        weights = dict(zip(self.names, self.weights, strict=True))
        try:
            values = walk(self._steps, {**self._constants, **weights, **{name: inputs[name] for name in self.inputs}})
        except StepError as error:
            raise GraphError(self._title, f"PyTorch can't run it: {error}") from error
        return {name: values[name] for name in self.outputs}

    def each(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`forward` of N examples at once: every input and output has one more axis in front, of N.

        So a graph whose batch is fixed to 1, as a bundle's predictor is, trains on batches all the same.
        """
        given = {name: inputs[name] for name in self.inputs}
        found: dict[str, Tensor] = torch.func.vmap(self.forward)(given)
        return found

    def to_onnx(self) -> bytes:
        """The graph with its weights as they are now, stored at 16 bits. Raises GraphError for one that is not
        finite."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        stored = {weight.name: weight for weight in model.graph.initializer}
        for name, array in self._arrays().items():
            stored[name].CopyFrom(numpy_helper.from_array(array, name))
        return store_weights(model.SerializeToString(), 16)

    def to_rounded_onnx(self) -> bytes | None:
        """The graph with the roundings that it came with, its weights as they are now; None where it had none, or not
        in symmetric 8 bits.

        Weights that were stored in 8 bits are again, with new scales. Activations are rounded at the old scales, which
        fit as long as the weights moved little: compare its outputs with those of `to_onnx` before it is used. Raises
        GraphError for a weight that is not finite.
        """
        if not is_quantised(self._stored.SerializeToString()):
            return None
        model = onnx.ModelProto()
        model.CopyFrom(self._stored)
        stored = {weight.name: weight for weight in model.graph.initializer}
        decoded = {node.output[0]: node for node in model.graph.node if all(name in stored for name in node.input)}
        for name, array in self._arrays().items():
            node = decoded.get(name)
            if node is None:
                stored[name].CopyFrom(numpy_helper.from_array(array, name))
            elif node.op_type == "Cast":
                kind = helper.tensor_dtype_to_np_dtype(stored[node.input[0]].data_type)
                stored[node.input[0]].CopyFrom(numpy_helper.from_array(array.astype(kind), node.input[0]))
            elif not _round(node, array, stored):
                return None
        rounded: bytes = model.SerializeToString()
        return rounded

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """The weights as they are now, fp32."""
        found = {}
        for name, value in zip(self.names, self.weights, strict=True):
            found[name] = value.detach().to(torch.float32).numpy()
            if not np.isfinite(found[name]).all():
                raise GraphError(self._title, f"the weight {name} is not finite any more")
        return found


def _round(node: onnx.NodeProto, array: NDArray[Any], stored: dict[str, TensorProto]) -> bool:
    """Store a weight as the symmetric 8-bit levels that a DequantizeLinear reads; whether that is what it reads."""
    levels_name, scale_name, *zero = node.input
    scale = numpy_helper.to_array(stored[scale_name])
    attributes = {item.name: int(item.i) for item in node.attribute}
    symmetric = not any(numpy_helper.to_array(stored[name]).any() for name in zero)
    if stored[levels_name].data_type != TensorProto.INT8 or not symmetric or attributes.get("block_size", 0):
        return False
    axis = attributes.get("axis", 1) % array.ndim
    others = tuple(i for i in range(array.ndim) if scale.size == 1 or i != axis)
    step = np.abs(array).max(axis=others, keepdims=True) / 127.0
    step = np.where(step == 0, 1.0, step).astype(np.float32)
    levels = np.clip(np.rint(array / step), -127, 127).astype(np.int8)
    stored[levels_name].CopyFrom(numpy_helper.from_array(levels, levels_name))
    stored[scale_name].CopyFrom(numpy_helper.from_array(step.reshape(scale.shape), scale_name))
    return True


def _weights(graph: onnx.GraphProto) -> tuple[str, ...]:
    """The initialisers that layers read, in the graph's order."""
    stored = {item.name: item for item in graph.initializer if item.data_type == TensorProto.FLOAT}
    origin = {name: name for name in stored}  # of a weight or what a weight is reshaped to: the weight
    found: set[str] = set()
    for node in graph.node:
        if node.op_type in _RESHAPED and node.input[0] in origin:
            origin[node.output[0]] = origin[node.input[0]]
        for i, name in enumerate(node.input):
            if name not in origin:
                continue
            dims = stored[origin[name]].dims
            vector = node.op_type in _VECTOR_OPERANDS and len(dims) == 1 and dims[0] > 1
            if vector or i in _OPERANDS.get(node.op_type, ()):
                found.add(origin[name])
    return tuple(name for name in stored if name in found)
