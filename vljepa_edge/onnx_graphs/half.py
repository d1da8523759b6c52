"""A bundle's graph for engines that compute in the types they are given: fp16 where it is safe, else fp32.

Stored graphs keep fp32 activations, which a strongly typed TensorRT network would really compute in. Here weights and
activations become fp16, and inputs and outputs keep their types. In fp32 stay, with the arithmetic around them:

* norms, means and sums: the square in an RMS norm overflows fp16 above |x| = 256, and an epsilon of 1e-12 is 0 in it;
* what sines and cosines are computed from: fp16 has no odd integers above 2048;
* all of a graph that is marked so (`marked_f32`): the activations of Gemma 3 reach 800,000, 12 times what fp16 holds.

Weights that are only stored in int8 or fp16 are decoded to fp16: TensorRT has no int8 weights without int8 activations.
Pixels become numbers where they come in: TensorRT casts uint8 and does nothing else with it.
Needs onnx, not torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from vljepa_edge.errors import GraphError
from vljepa_edge.onnx_graphs.qdq_check import QdqLayer

F32, F16 = int(TensorProto.FLOAT), int(TensorProto.FLOAT16)
_LARGEST = float(np.finfo(np.float16).max)
# Larger constants are masks: at half the largest number, a score can still be added to one.
_MASK = _LARGEST / 2
_SMALL = 1024  # constants with fewer numbers may be shapes, which the inference of types needs
_QUANTISERS = ("QuantizeLinear", "DequantizeLinear")

_WIDE = frozenset({
    "LayerNormalization", "RMSNormalization", "InstanceNormalization", "GroupNormalization", "LpNormalization",
    "MeanVarianceNormalization", "ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceProd",
    "ReduceLogSum", "ReduceLogSumExp", "CumSum", "Pow", "Exp", "Log", "LogSoftmax", "Sin", "Cos", "Range",
})  # fmt: skip
_ARITHMETIC = frozenset({
    "Add", "Sub", "Mul", "Div", "Sqrt", "Reciprocal", "Neg", "Abs", "Max", "Min", "Clip", "Where", "Cast", "Identity",
    "Expand", "Unsqueeze", "Squeeze",
})  # fmt: skip
_ALWAYS_F32 = {"Resize": (1, 2)}  # inputs (roi, scales) that ONNX has in fp32 only
_MARK = onnx.StringStringEntryProto(key="vljepa.precision", value="f32")


@dataclass
class _Constant:
    """`kind` is its ONNX type in the graph; the array may be narrower, as it was stored."""

    array: NDArray[Any]
    kind: int

    def tensor(self, name: str, kind: int) -> TensorProto:
        array = self.array
        if kind == F16 and array.dtype != np.float16:
            masks = np.isfinite(array) & (np.abs(array) > _LARGEST)
            array = np.where(masks, np.copysign(_MASK, array), array).astype(np.float16)
        elif kind == F32:
            array = array.astype(np.float32)
        return numpy_helper.from_array(array, name)


_Constants = dict[str, _Constant]
_Nodes = Sequence[onnx.NodeProto]


def marked_f32(model: bytes) -> bytes:
    """A serialised model as one that fp16 is too narrow for. Protobuf joins messages that follow each other."""
    return model + bytes(onnx.ModelProto(metadata_props=[_MARK]).SerializeToString())


def needs_f32(model: onnx.ModelProto) -> bool:
    """Whether it is marked so."""
    return _MARK in model.metadata_props


def to_half(model: onnx.ModelProto, layers: Iterable[QdqLayer], graph: str, *, f32: bool = False) -> onnx.ModelProto:
    """A new model that computes in fp16 where that is safe. `layers` are those that `check_qdq` found in it.

    f32: nowhere; only tables of embeddings that are stored in fp16 stay so.
    Inputs and outputs keep names and types. Int8 scales are rounded up to fp16, and int8 weights rounded to the new
    scale, so that nothing is clipped. Raises GraphError for a graph with branches or functions, whose types ONNX can't
    infer, or with a scale beyond fp16.
    """
    if model.functions or any(a.type in (a.GRAPH, a.GRAPHS) for n in model.graph.node for a in n.attribute):
        raise GraphError(graph, "holds functions or branches (If, Loop, Scan); export it without")
    constants = {t.name: _Constant(numpy_helper.to_array(t), t.data_type) for t in model.graph.initializer}
    nodes = _cast_pixels(model, _decode(model.graph.node, constants, {layer.weight for layer in layers}))
    _narrow_scales(nodes, constants, graph)
    types = _infer_types(model, nodes, constants, graph)
    wide = _rows_aside(nodes, constants) if f32 else _wide_nodes(nodes, types)
    return _Rewriter(model, nodes, constants, types, wide).run()


def _cast_pixels(model: onnx.ModelProto, nodes: _Nodes) -> _Nodes:
    """A Cast behind each uint8 input, for all that read it."""
    casts = []
    for value in model.graph.input:
        if value.type.tensor_type.elem_type == TensorProto.UINT8:
            target = f"{value.name}/as_number"
            casts.append(helper.make_node("Cast", [value.name], [target], to=F32))
            for node in nodes:
                node.input[:] = [target if name == value.name else name for name in node.input]
    return [*casts, *nodes]


# --- constants ---


def _decode(nodes: Iterable[onnx.NodeProto], constants: _Constants, int8_weights: set[str | None]) -> _Nodes:
    """Copies of the nodes, without those that only say how a constant is stored: its value joins `constants`."""
    kept = []
    for original in nodes:
        node = onnx.NodeProto()
        node.CopyFrom(original)
        given = constants.get(node.input[0]) if node.input else None
        (*_, name) = node.output
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = node.attribute[0].t
            constants[name] = _Constant(numpy_helper.to_array(tensor), tensor.data_type)
        elif node.op_type == "Cast" and given and given.kind == F16 and node.attribute[0].i == F32:
            constants[name] = _Constant(given.array, F32)  # kept narrow: widening it and back would change nothing
        elif node.op_type == "DequantizeLinear" and given and name not in int8_weights:
            scale = constants[node.input[1]].array.astype(np.float32)
            constants[name] = _Constant((given.array * _along(node, scale, given)).astype(np.float16), F32)
        else:
            kept.append(node)
    return kept


def _narrow_scales(nodes: _Nodes, constants: _Constants, graph: str) -> None:
    """Round the scales of Q and DQ nodes up to fp16, and int8 weights to their new scale."""
    quantisers = [node for node in nodes if node.op_type in _QUANTISERS]
    narrow: dict[str, NDArray[Any]] = {}
    for name in {node.input[1] for node in quantisers}:
        wide = constants[name].array.astype(np.float32)
        with np.errstate(over="ignore"):  # found below
            half = wide.astype(np.float16)
        narrow[name] = np.where(half < wide, np.nextafter(half, np.float16(np.inf)), half)
        if not np.isfinite(narrow[name]).all():
            raise GraphError(graph, f"has a scale of {wide.max()} ({name}), which fp16 can't hold")
    for levels, node in {node.input[0]: node for node in quantisers if node.input[0] in constants}.items():
        ratio = constants[node.input[1]].array.astype(np.float32) / narrow[node.input[1]].astype(np.float32)
        weight = constants[levels]
        if weight.kind == TensorProto.INT8:
            weight.array = np.rint(weight.array * _along(node, ratio, weight)).astype(np.int8)
    for name, scale in narrow.items():
        constants[name].array = scale


def _along(node: onnx.NodeProto, scale: NDArray[Any], tensor: _Constant) -> NDArray[Any]:
    """A scale shaped to meet the tensor that it belongs to."""
    if scale.size == 1:
        return scale.reshape(())
    axis = next((a.i for a in node.attribute if a.name == "axis"), 1) % tensor.array.ndim
    return scale.reshape([-1 if i == axis else 1 for i in range(tensor.array.ndim)])


# --- types ---


def _infer_types(model: onnx.ModelProto, nodes: _Nodes, constants: _Constants, graph: str) -> dict[str, int]:
    """The ONNX type of every tensor. Large weights are left out of what ONNX looks at: only their types matter."""
    types = {name: constant.kind for name, constant in constants.items()}
    light = onnx.GraphProto(name="light", node=nodes, input=model.graph.input, output=model.graph.output)
    given = {value.name for value in light.input}
    for name, constant in constants.items():
        if constant.array.size < _SMALL:
            light.initializer.append(constant.tensor(name, constant.kind))
        elif name not in given:
            light.input.append(helper.make_tensor_value_info(name, constant.kind, constant.array.shape))
    shaped = onnx.shape_inference.infer_shapes(
        helper.make_model(light, opset_imports=model.opset_import, ir_version=model.ir_version)
    )
    for value in (*shaped.graph.value_info, *shaped.graph.input, *shaped.graph.output):
        types.setdefault(value.name, value.type.tensor_type.elem_type)
    for node in nodes:
        for name in node.output:
            if name and not types.get(name):
                raise GraphError(graph, f"has a {node.op_type} whose output {name} has no type that ONNX can infer")
    return types


def _wide_nodes(nodes: _Nodes, types: dict[str, int]) -> set[int]:
    """Places of the nodes that stay in fp32."""
    made_by = {name: place for place, node in enumerate(nodes) for name in node.output}
    wide: set[int] = set()
    for place, node in enumerate(nodes):  # in topological order: what follows a wide node comes after it
        squares = node.op_type == "Mul" and node.input[0] == node.input[1]
        follows = node.op_type in _ARITHMETIC and any(
            made_by.get(name) in wide and types[name] == F32 for name in node.input
        )
        if node.op_type in _WIDE or squares or follows:
            wide.add(place)
    angles = [place for place, node in enumerate(nodes) if node.op_type in ("Sin", "Cos")]
    while angles:
        place = angles.pop()
        wide.add(place)
        sources = {made_by[name] for name in nodes[place].input if name in made_by and types[name] == F32}
        angles.extend(sources - wide)
    return wide


def _rows_aside(nodes: _Nodes, constants: _Constants) -> set[int]:
    """Places of all nodes but those that take rows out of what is stored in fp16, most of a text encoder's bytes."""

    def takes_rows(node: onnx.NodeProto) -> bool:
        table = constants.get(node.input[0]) if node.op_type == "Gather" else None
        return table is not None and table.array.dtype == np.float16

    return {place for place, node in enumerate(nodes) if not takes_rows(node)}


# --- the new graph ---


class _Rewriter:
    """Writes the nodes again, each at its own precision, with a Cast where two meet."""

    def __init__(
        self, model: onnx.ModelProto, nodes: _Nodes, constants: _Constants, types: dict[str, int], wide: set[int]
    ) -> None:
        self.model, self.nodes, self.constants, self.types = model, nodes, constants, types
        self.kinds = [F32 if place in wide else F16 for place in range(len(nodes))]
        self.outputs = {value.name for value in model.graph.output}
        self.halves = {  # float tensors that now are fp16
            name
            for node, kind in zip(nodes, self.kinds, strict=True)
            for name in node.output
            if kind == F16 and types.get(name) == F32
        }
        self.written: list[onnx.NodeProto] = []
        self.stored: dict[str, TensorProto] = {}
        self.cast: set[str] = set()

    def run(self) -> onnx.ModelProto:
        for node, kind in zip(self.nodes, self.kinds, strict=True):
            for place, name in enumerate(node.input):
                fixed = place in _ALWAYS_F32.get(node.op_type, ())
                node.input[place] = self._read(name, node, F32 if fixed else kind)
            for place, name in enumerate(node.output):
                node.output[place] = self._renamed(name)
            if kind == F16:
                _retype(node)
            self.written.append(node)
        for name in self.outputs & self.halves:
            self.written.append(helper.make_node("Cast", [self._renamed(name)], [name], to=F32))
        old = self.model.graph
        graph = helper.make_graph(self.written, old.name, old.input, old.output, list(self.stored.values()))
        return helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)

    def _read(self, name: str, node: onnx.NodeProto, wanted: int) -> str:
        """The tensor of that name at the wanted float type: a constant stored in it, or one Cast for all readers."""
        if self.types.get(name) != F32:
            wanted = self.types.get(name, 0)
        if name in self.constants:
            stored = f"{name}/as_f16" if wanted == F16 != self.types[name] else name
            if stored not in self.stored:
                self.stored[stored] = self.constants[name].tensor(stored, wanted)
            return stored
        given = F16 if name in self.halves else self.types.get(name, 0)
        if given == wanted or node.op_type == "Cast":  # a Cast takes what comes
            return self._renamed(name)
        target = f"{name}/as_f16" if wanted == F16 else f"{name}/as_f32"
        if target not in self.cast:
            self.cast.add(target)
            self.written.append(helper.make_node("Cast", [self._renamed(name)], [target], to=wanted))
        return target

    def _renamed(self, name: str) -> str:
        """An output of the graph keeps its name for the Cast back to fp32."""
        return f"{name}/f16" if name in self.outputs & self.halves else name


def _retype(node: onnx.NodeProto) -> None:
    """Types and values that a node names in its attributes."""
    for attribute in node.attribute:
        if attribute.name in ("to", "dtype", "output_dtype") and attribute.i == F32:
            attribute.i = F16
        elif attribute.name == "value" and attribute.t.data_type == F32:
            attribute.t.CopyFrom(_Constant(numpy_helper.to_array(attribute.t), F32).tensor(attribute.t.name, F16))
