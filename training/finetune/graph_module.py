"""An ONNX graph as a PyTorch module: run by the torch engine's operations, its weights are parameters.

A bundle holds no checkpoint, only graphs. This makes one trainable as it is, whatever code it was exported from, and
writes it back.

* Weights that are stored in 16 or 8 bits are widened once, to fp32.
* Roundings of activations (QDQ) are taken out rather than trained through. Of the default bundle's predictor the cosine
  to the rounded embedding is 0.9999 on average over the windows of bikes.mp4, 0.9996 at worst;
  tests/training/finetune/test_graph_module.py holds it above 0.999 on drawn clips.
* What is written back is in floating point: weights that moved are no longer balanced against their activations, as
  SmoothQuant left them. Put back after the camera moves of docs/fine-tuning.md were learned, with new scales for both,
  the roundings kept a mean cosine of 0.996 and changed one label of 21, to save 0.3 of 2.3 ms.
* Parameters are what a layer multiplies by or adds: operands of MatMul, Gemm, Conv and norms, and vectors in Mul and
  Add, which is how norms and biases look once an exporter has taken them apart. All else stays constant: tables of
  rotary angles, masks, positions, epsilons, the statistics of a batch norm.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnx.inliner
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from vljepa_edge.engines.torch.walk import StepError, initialisers, plan, walk
from vljepa_edge.errors import GraphError
from vljepa_edge.onnx_graphs.weights import store_weights, without_rounding

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
        inlined = onnx.inliner.inline_local_functions(onnx.load_from_string(model))
        self._model = onnx.load_from_string(without_rounding(inlined.SerializeToString()))
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
        for name, value in zip(self.names, self.weights, strict=True):
            array = value.detach().to(torch.float32).numpy()
            if not np.isfinite(array).all():
                raise GraphError(self._title, f"the weight {name} is not finite any more")
            stored[name].CopyFrom(numpy_helper.from_array(array, name))
        return store_weights(model.SerializeToString(), 16)


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
