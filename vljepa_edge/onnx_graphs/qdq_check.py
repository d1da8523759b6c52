"""Whether a graph is quantised as every engine takes it: explicit Q/DQ pairs, symmetric int8, weights per channel.

TensorRT has no other INT8 since version 11, and refuses zero points in all of them; a weight with one scale for all
channels, or a layer that lost its Q/DQ pair, would build and be worse or slower without a word. Needs onnx, not torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from vljepa_edge.errors import QuantizationError

LAYERS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_MOVES = ("Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten")  # between a Q, its DQ and the layer


@dataclass(frozen=True)
class QdqLayer:
    """A Conv, MatMul or Gemm. `kind`: `int8` when both sides are dequantised int8, `float` when it has a weight and one
    side is not (the weight may still be stored in int8), `activations` when both sides are computed, as in attention.
    `weight`: of an int8 layer, what the DequantizeLinear of its weight gives."""

    name: str
    op: str
    kind: Literal["int8", "float", "activations"]
    weight: str | None = None


def check_qdq(model: onnx.ModelProto, graph: str) -> tuple[QdqLayer, ...]:
    """Every layer of the model, in its order. `graph` is for messages.

    Raises QuantizationError when a QuantizeLinear or DequantizeLinear has no constant positive scale, a zero point
    other than 0, another type than int8, more than one scale for an activation, or another scale than its partner; and
    when an int8 layer's weight has not one scale an output channel.
    """
    return tuple(_Checker(model.graph, graph).layers())


class _Checker:
    def __init__(self, graph: onnx.GraphProto, name: str) -> None:
        self.nodes = list(graph.node)
        self.name = name
        self.made_by = {out: node for node in graph.node for out in node.output}
        self.stored = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.stored[node.output[0]] = node.attribute[0].t
        self.constant = set(self.stored)
        for node in graph.node:  # in topological order, as ONNX demands
            if node.input and all(name in self.constant for name in node.input if name):
                self.constant.update(node.output)

    def layers(self) -> Iterator[QdqLayer]:
        for node in self.nodes:
            if node.op_type in (_QUANTIZE, _DEQUANTIZE):
                self._check_pair(node)
        for node in self.nodes:
            if node.op_type in LAYERS:
                yield self._layer(node)

    # --- one QuantizeLinear or DequantizeLinear ---

    def _check_pair(self, node: onnx.NodeProto) -> None:
        scale = self._scale(node)
        if int(_attribute(node, "block_size", 0)):
            raise self._error(node, "has a scale a block; it must have one scale, or one an output channel")
        zero = self._value(node.input[2]) if len(node.input) > 2 and node.input[2] else None
        if len(node.input) > 2 and node.input[2] and zero is None:
            raise self._error(node, f"takes its zero point {node.input[2]} from a computation; it must be constant 0")
        if zero is not None and zero.any():
            raise self._error(node, f"is asymmetric: its zero point is {zero.ravel()[np.flatnonzero(zero)[0]]}, not 0")
        kind = self._type(node)
        if kind != TensorProto.INT8:
            hint = "; leave biases in floating point" if kind == TensorProto.INT32 else ""
            raise self._error(node, f"must be int8, got {TensorProto.DataType.Name(kind).lower()}{hint}")
        if scale.size != 1 and node.input[0] not in self.constant:
            raise self._error(node, f"has {scale.size} scales for an activation; it takes one")
        if node.op_type == _DEQUANTIZE and node.input[0] not in self.constant:
            source = self._back(node.input[0])
            if source is None or source.op_type != _QUANTIZE:
                raise self._error(node, f"reads {node.input[0]}, which no QuantizeLinear gives")
            theirs = self._scale(source)
            if theirs.shape != scale.shape or (theirs != scale).any():
                raise self._error(node, f"has another scale than its partner {_name(source)}")

    def _scale(self, node: onnx.NodeProto) -> NDArray[Any]:
        name = node.input[1] if len(node.input) > 1 else ""
        scale = self._value(name)
        if scale is None:
            raise self._error(node, f"has no constant scale ({name or 'the input is missing'})")
        if not scale.size or not np.isfinite(scale).all() or (scale <= 0).any():
            raise self._error(node, "has a scale that is not a positive number")
        return scale

    def _type(self, node: onnx.NodeProto) -> int:
        """The integer type on the quantised side; ONNX's default is uint8."""
        if node.op_type == _DEQUANTIZE and node.input[0] in self.stored:
            return int(self.stored[node.input[0]].data_type)
        if node.op_type == _DEQUANTIZE:  # its type is that of the QuantizeLinear before it, which is checked itself
            return int(TensorProto.INT8)
        if len(node.input) > 2 and node.input[2]:
            return int(self.stored[node.input[2]].data_type)
        return int(_attribute(node, "output_dtype", 0) or TensorProto.UINT8)

    # --- one layer ---

    def _layer(self, node: onnx.NodeProto) -> QdqLayer:
        sides = [self._dequantised(name) for name in node.input[:2]]
        weights = [i for i in (0, 1) if node.input[i] in self.constant]
        if not weights:
            whole = all(side is not None for side in sides)
            return QdqLayer(_name(node), node.op_type, "int8" if whole else "activations")
        index = weights[-1]
        weight, activation = sides[index], sides[1 - index]
        if activation is None or weight is None:
            return QdqLayer(_name(node), node.op_type, "float")
        self._check_channels(node, index, weight)
        return QdqLayer(_name(node), node.op_type, "int8", weight.output[0])

    def _check_channels(self, node: onnx.NodeProto, index: int, weight: onnx.NodeProto) -> None:
        shape = self._shape(weight.input[0])
        axis = _channel_axis(node, index, len(shape))
        name = node.input[index]
        while name != weight.output[0]:  # back through what moves axes between the weight and the layer
            move = self.made_by[name]
            if move.op_type == "Transpose":
                axis = list(_attribute(move, "perm", range(len(shape))[::-1]))[axis]
            elif move.op_type != "Identity":
                raise self._error(node, f"takes its int8 weight through a {move.op_type}; store it in its final shape")
            name = move.input[0]
        scale = self._scale(weight)
        given = int(_attribute(weight, "axis", 1)) % len(shape)
        if scale.size != shape[axis] or (given != axis and scale.size > 1):
            raise self._error(
                node,
                f"has a weight {list(shape)} with {scale.size} scales along axis {given}; "
                f"it takes one an output channel: {shape[axis]} along axis {axis}",
            )

    def _dequantised(self, name: str) -> onnx.NodeProto | None:
        node = self._back(name)
        return node if node is not None and node.op_type == _DEQUANTIZE else None

    def _back(self, name: str) -> onnx.NodeProto | None:
        """What made a tensor, seen through nodes that only move its values."""
        node = self.made_by.get(name)
        while node is not None and node.op_type in _MOVES:
            node = self.made_by.get(node.input[0])
        return node

    def _shape(self, name: str) -> Sequence[int]:
        """Of a stored weight, which may be quantised within the graph."""
        while name not in self.stored:
            name = self.made_by[name].input[0]
        return tuple(self.stored[name].dims)

    def _value(self, name: str) -> NDArray[Any] | None:
        return numpy_helper.to_array(self.stored[name]) if name in self.stored else None

    def _error(self, node: onnx.NodeProto, reason: str) -> QuantizationError:
        return QuantizationError(self.name, _name(node), reason)


def _channel_axis(node: onnx.NodeProto, index: int, rank: int) -> int:
    """The axis of a weight that its layer's output channels lie on."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    if node.op_type == "Gemm":
        flipped = bool(_attribute(node, "transB" if index else "transA", 0))
        return (1 if index else 0) ^ flipped
    return rank - 1 if index else rank - 2


def _name(node: onnx.NodeProto) -> str:
    return node.name or node.output[0]


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)
