"""SmoothQuant on ONNX: activation outliers move into the weights before anything is rounded.

Xiao et al. 2023 (arXiv 2211.10438): input channel j of a product is divided by s_j = max|x_j|^a / max|W_j|^(1 - a) and
row j of the weights multiplied by it. The division is folded into whatever makes the input (the scale of a norm, the
columns of a product before it), so the graph keeps its nodes and, but for rounding, its function. Weights that a graph
runs more than once (the default's predictor, with the query and without) get one s for all of their inputs, so that
they are still stored once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from vljepa_edge.export.int8.calibration import Arrays
from vljepa_edge.export.int8.onnx_run import run_outputs
from vljepa_edge.export.int8.qdq import is_transposed

ALPHA = 0.5
_LEAST, _MOST = 1e-3, 1e3
Floats = NDArray[np.float32]


_Place = tuple[onnx.NodeProto, int, int, int]
"""A constant input of a node: (node, input number, axis of the channels, first channel)."""


@dataclass(frozen=True)
class _Fold:
    """Where a division by s can go."""

    places: tuple[_Place, ...]


def smooth(model: onnx.ModelProto, inputs: Sequence[Arrays], alpha: float = ALPHA) -> int:
    """Fold SmoothQuant into the weights of `model`, in place. Returns how many inputs of products were smoothed.

    inputs: what the graph is calibrated on. Inputs of products whose maker can't take the division stay as they are.
    """
    graph = _Graph(model)
    folds = {name: fold for name in graph.product_inputs() if (fold := graph.fold(name)) is not None}
    if not folds:
        return 0
    largest = _channel_maxima(model, list(folds), inputs)
    for names in graph.sharing(folds):
        places = [place for name in names for place in folds[name].places]
        consumers = [node for name in names for node in graph.consumers[name]]
        most = np.max([largest[name] for name in names], axis=0)
        weight = np.max([graph.row_maxima(node) for node in consumers], axis=0)
        s = np.maximum(most, 1e-5) ** alpha / np.maximum(weight, 1e-5) ** (1 - alpha)
        s = np.clip(s, _LEAST, _MOST).astype(np.float32)
        graph.scale(places, 1 / s)
        graph.scale([(node, 1, 1 if is_transposed(node) else 0, 0) for node in consumers], s)
    return len(folds)


def _channel_maxima(model: onnx.ModelProto, names: Sequence[str], inputs: Sequence[Arrays]) -> dict[str, Floats]:
    """max |x| of every channel (last axis) of the named values."""
    found: dict[str, Floats] = {}
    for values in run_outputs(model, names, inputs):
        for name, value in values.items():
            most = np.abs(value).reshape(-1, value.shape[-1]).max(0)
            found[name] = np.maximum(found[name], most) if name in found else most
    return found


class _Graph:
    """A model with who makes and who reads each value."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.weights = {weight.name: weight for weight in self.graph.initializer}
        self.maker = {name: node for node in self.graph.node for name in node.output}
        self.consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            for name in dict.fromkeys(node.input):
                self.consumers.setdefault(name, []).append(node)
        self.outputs = {output.name for output in self.graph.output}

    def product_inputs(self) -> list[str]:
        """Values that only products with constant matrices read."""
        found = dict.fromkeys(node.input[0] for node in self.graph.node if self._is_product(node))
        return [name for name in found if self._only_products(name)]

    def fold(self, name: str, first: int = 0, last: bool = True) -> _Fold | None:
        """Where `name` (all channels from `first` on, when it is part of a longer axis) can be divided, or None."""
        node = self.maker.get(name)
        if node is None or name in self.outputs or (not last and len(self.consumers[name]) != 1):
            return None
        if node.op_type == "LayerNormalization":
            return _Fold(tuple((node, i, 0, first) for i in range(1, len(node.input))))
        if node.op_type == "Mul":
            return self._fold_product_of_two(node, first)
        if node.op_type == "Split":
            return self._fold_split(node, name, first)
        if node.op_type == "Add":
            return self._fold_sum(node, first)
        if self._is_product(node):
            places = [(node, 1, 0 if is_transposed(node) else 1, first)]
            if len(node.input) > 2 and node.input[2]:
                places.append((node, 2, 0, first))
            return _Fold(tuple(places))
        return None

    def _fold_product_of_two(self, node: onnx.NodeProto, first: int) -> _Fold | None:
        for i in (0, 1):
            if self._is_vector(node.input[i]):
                return _Fold(((node, i, 0, first),))
        for i in (1, 0):  # the second factor first: that of silu(gate) * up is the linear one
            found = self.fold(node.input[i], first, last=False)
            if found is not None:
                return found
        return None

    def _fold_sum(self, node: onnx.NodeProto, first: int) -> _Fold | None:
        for i in (0, 1):
            if self._is_vector(node.input[i]):
                found = self.fold(node.input[1 - i], first, last=False)
                return None if found is None else _Fold((*found.places, (node, i, 0, first)))
        return None

    def _fold_split(self, node: onnx.NodeProto, name: str, first: int) -> _Fold | None:
        axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
        if axis != -1 or len(node.input) < 2 or node.input[1] not in self.weights:
            return None
        sizes = numpy_helper.to_array(self.weights[node.input[1]])
        before = int(sizes[: list(node.output).index(name)].sum())
        return self.fold(node.input[0], first + before, last=False)

    def row_maxima(self, node: onnx.NodeProto) -> Floats:
        """max |w| of every input channel of a product."""
        weight = numpy_helper.to_array(self.weights[node.input[1]])
        return np.asarray(np.abs(weight).max(0 if is_transposed(node) else 1), np.float32)

    def sharing(self, folds: Mapping[str, _Fold]) -> list[list[str]]:
        """The names of `folds`, those together that are made by the same constants and read by the same weights."""

        def constants(name: str) -> tuple[object, ...]:
            makers = [(node.input[number], axis, first) for node, number, axis, first in folds[name].places]
            return *makers, *(node.input[1] for node in self.consumers[name])

        together: dict[tuple[object, ...], list[str]] = {}
        for name in folds:
            together.setdefault(constants(name), []).append(name)
        return list(together.values())

    def scale(self, places: Sequence[_Place], factor: Floats) -> None:
        """Multiply the channels at `places`, each constant once; one that others read too is copied for these."""
        readers: dict[tuple[str, int, int], list[tuple[onnx.NodeProto, int]]] = {}
        for node, number, axis, first in places:
            readers.setdefault((node.input[number], axis, first), []).append((node, number))
        for (name, axis, first), nodes in readers.items():
            array = numpy_helper.to_array(self.weights[name]).copy()
            if len(self.consumers[name]) > len(nodes):
                name = self._copy(name, nodes)
            shape = [1] * array.ndim
            shape[axis] = -1
            part = [slice(None)] * array.ndim
            part[axis] = slice(first, first + len(factor))
            array[tuple(part)] *= factor.reshape(shape)
            self.weights[name].CopyFrom(numpy_helper.from_array(array, name))

    def _copy(self, name: str, nodes: Sequence[tuple[onnx.NodeProto, int]]) -> str:
        """A constant of its own for these of its readers."""
        copy = f"{name}/{nodes[0][0].name or nodes[0][0].output[0]}/{nodes[0][1]}"
        for node, number in nodes:
            self.consumers[name].remove(node)
            node.input[number] = copy
        self.consumers[copy] = [node for node, _ in nodes]
        self.weights[copy] = self.graph.initializer.add()
        return copy

    def _is_product(self, node: onnx.NodeProto) -> bool:
        if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in self.weights:
            return False
        return len(self.weights[node.input[1]].dims) == 2 and not any(
            a.name == "transA" and a.i for a in node.attribute
        )

    def _only_products(self, name: str) -> bool:
        readers = self.consumers[name]
        return name not in self.outputs and all(self._is_product(node) and node.input[0] == name for node in readers)

    def _is_vector(self, name: str) -> bool:
        return name in self.weights and len(self.weights[name].dims) == 1 and self.weights[name].dims[0] > 1
