"""Where a graph computes attention or the predictor's tail, told by computing it.

What looks like one of them is run on a small random input in ONNX's reference evaluator and compared with what our
kernels compute: another scale, rotation or mask is none of them. Needs onnx, not torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

HEAD_DIMS = (64, 128)
"""What the kernels of attention take, in fp16."""
MAX_WIDTH = 8192
"""Of tokens that PoolSum takes."""
_TOKENS, _SEEN = 6, 4  # of the small input, and those that are no padding
_CLOSE = 0.02  # fp16 of numbers around 1
_SMALL = 1024  # larger constants are left out of what ONNX infers shapes from
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
_HEADS_LAST = [0, 2, 1, 3]
Arrays = dict[str, NDArray[Any]]


class Subgraph(NamedTuple):
    """A subgraph: its nodes in order, its output, and what it reads from outside by the role that it has."""

    nodes: list[onnx.NodeProto]
    output: str
    reads: dict[str, str]


class GraphIndex:
    """Who makes and who reads each tensor, and its type and shape."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.maker: dict[str, onnx.NodeProto] = {name: node for node in self.nodes for name in node.output}
        self.place = {id(node): place for place, node in enumerate(self.nodes)}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.fixed = {"", *self.constants}
        for node in self.nodes:
            if all(name in self.fixed for name in node.input):
                self.fixed.update(node.output)
        self._types = _types(model)

    def kind(self, name: str) -> int:
        """ONNX's number of the element type, 0 if unknown."""
        return self._types[name].elem_type if name in self._types else 0

    def shape(self, name: str) -> list[int]:
        """Sizes that vary or aren't known are 0."""
        return [size.dim_value for size in self._types[name].shape.dim] if name in self._types else []

    def made(self, name: str, kind: str) -> onnx.NodeProto | None:
        """The node that makes a tensor, if it is of that kind."""
        node = self.maker.get(name)
        return node if node is not None and node.op_type == kind else None

    def reader(self, name: str, kind: str) -> onnx.NodeProto | None:
        """The only node that reads a tensor, Casts aside, if it is of that kind."""
        while True:
            readers = self.readers.get(name, [])
            if len(readers) != 1 or readers[0].op_type not in (kind, "Cast"):
                return None
            if readers[0].op_type == kind:
                return readers[0]
            name = readers[0].output[0]

    def between(self, source: str, output: str) -> list[onnx.NodeProto]:
        """The nodes through which `source`, and constants that are a number or integers, reach `output`, in order."""
        known, after = {source}, set()
        for node in self.nodes:
            if any(name in known for name in node.input):
                known.update(node.output)
                after.add(id(node))
            elif all(name in self.fixed and not self._is_table(name) for name in node.output):
                after.add(id(node))
        found: dict[int, onnx.NodeProto] = {}
        names = [output]
        while names:
            node = self.maker.get(names.pop())
            if node is not None and id(node) in after and id(node) not in found:
                found[id(node)] = node
                names.extend(name for name in node.input if name != source)
        return sorted(found.values(), key=lambda node: self.place[id(node)])

    def outside(self, nodes: Iterable[onnx.NodeProto]) -> dict[str, list[onnx.NodeProto]]:
        """The tensors of floats that nodes read and don't make, with who of them reads each."""
        inside = list(nodes)
        made = {name for node in inside for name in node.output}
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in inside:
            for name in node.input:
                if name not in made and self._is_table(name):
                    found.setdefault(name, []).append(node)
        return found

    def _is_table(self, name: str) -> bool:
        """Whether a tensor holds floats, and isn't one number that never changes."""
        return self.kind(name) in _FLOATS and not (name in self.fixed and np.prod(self.shape(name)) == 1)

    def evaluate(self, part: Subgraph, feeds: Arrays) -> NDArray[Any] | None:
        """What a part computes from inputs by role, in ONNX's own reference; None if it doesn't take them."""
        given = {part.reads[role]: array for role, array in feeds.items()}
        needed = {name for node in part.nodes for name in node.input}
        small = onnx.GraphProto(
            name="part", node=part.nodes,
            input=[helper.make_tensor_value_info(name, self.kind(name), array.shape) for name, array in given.items()],
            output=[helper.make_tensor_value_info(part.output, self.kind(part.output), None)],
            initializer=[t for name, t in self.constants.items() if name in needed and name not in given],
        )  # fmt: skip
        kinds = {name: helper.tensor_dtype_to_np_dtype(self.kind(name)) for name in given}
        model = helper.make_model(small, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        try:
            (found,) = ReferenceEvaluator(model).run(None, {n: a.astype(kinds[n]) for n, a in given.items()})
        except Exception:  # it is something else; what NumPy says of that varies
            return None
        return np.asarray(found, np.float32)


def attention_part(graph: GraphIndex, softmax: onnx.NodeProto) -> Subgraph | None:
    """From packed queries, keys and values (B, N, slots, D) to the heads side by side again (B, N, heads, D)."""
    product = graph.reader(softmax.output[0], "MatMul")
    last = None if product is None else graph.reader(product.output[0], "Transpose")
    if product is None or last is None or _permutation(last) != _HEADS_LAST:
        return None
    first = _first_input(graph, product.input[1], lambda node: _permutation(node) == _HEADS_LAST)
    if first is None or graph.made(first.input[0], "Reshape") is None:
        return None
    qkv, out = first.input[0], last.output[0]
    if graph.kind(qkv) != TensorProto.FLOAT16 or graph.shape(qkv)[-1:] not in ([size] for size in HEAD_DIMS):
        return None
    nodes = graph.between(qkv, out)
    reads = {"qkv": qkv}
    for name, readers in graph.outside(nodes).items():
        if name != qkv:
            reads.setdefault(_role(graph, readers[0]), name)
    if len(reads) != len(graph.outside(nodes)) or not {"cos", "sin"} <= set(reads) <= {"qkv", "cos", "sin", "bias"}:
        return None
    if "bias" in reads and graph.shape(reads["bias"])[1:3] != [1, 1]:  # not of padding alone
        return None
    return Subgraph(nodes, out, reads)


def _role(graph: GraphIndex, reader: onnx.NodeProto) -> str:
    """Of what attention reads beside its qkv: the sine multiplies the swapped halves, which a Concat makes."""
    while reader.op_type in ("Slice", "Cast"):
        reader = graph.readers[reader.output[0]][0]
    if reader.op_type == "Add":
        return "bias"
    swapped = any(graph.made(name, "Concat") for name in reader.input)
    return {"Mul": "sin" if swapped else "cos"}.get(reader.op_type, reader.op_type)


def count_heads(graph: GraphIndex, part: Subgraph, slots: int, head_dim: int) -> int | None:
    """How many queries attention has, if it is what the plugins compute."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(-3, 3, (_TOKENS, head_dim))
    feeds: Arrays = {"qkv": rng.normal(size=(1, _TOKENS, slots, head_dim)), "cos": np.cos(angle), "sin": np.sin(angle)}
    length = _TOKENS
    if "bias" in part.reads:
        length = _SEEN
        feeds["bias"] = np.where(np.arange(_TOKENS) < length, 0.0, -1e4)[None, None, None]
    found = graph.evaluate(part, feeds)
    if found is None or found.ndim != 4 or found.shape[1] != _TOKENS:
        return None
    heads = found.shape[2]
    if heads >= slots or (slots - heads) % 2 or heads % ((slots - heads) // 2):
        return None
    seen = {role: array[:, :length] if role == "qkv" else array[:length] for role, array in feeds.items()}
    wanted = _attention(seen["qkv"], seen["cos"], seen["sin"], heads)
    return heads if wanted.shape == found[:, :length].shape and _agree(found[:, :length], wanted) else None


def _attention(qkv: NDArray[Any], cos: NDArray[Any], sin: NDArray[Any], heads: int) -> NDArray[Any]:
    """What RotateKeys and BidirectionalAttention compute together."""
    kv_heads, half = (qkv.shape[2] - heads) // 2, qkv.shape[3] // 2
    packed = np.moveaxis(qkv, 2, 1)
    turned, v = packed[:, : heads + kv_heads], packed[:, heads + kv_heads :]
    swapped = np.concatenate((-turned[..., half:], turned[..., :half]), -1)
    turned = turned * cos + swapped * sin
    k, v = (np.repeat(t, heads // kv_heads, 1) for t in (turned[:, heads:], v))
    scores = turned[:, :heads] @ np.moveaxis(k, 3, 2) * qkv.shape[3] ** -0.5
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.moveaxis(weights / weights.sum(-1, keepdims=True) @ v, 1, 2)


def tail_part(graph: GraphIndex, gemm: onnx.NodeProto) -> tuple[Subgraph, float] | None:
    """From the last layer's tokens (B, N, width) to the projection (B, E), and the norm's epsilon."""
    square = _nearest(graph, gemm, lambda node: node.op_type == "Mul" and node.input[0] == node.input[1])
    if square is None or len(gemm.input) != 3 or not all(name in graph.constants for name in gemm.input[1:]):
        return None
    cast = graph.made(square.input[0], "Cast")
    x, out = square.input[0] if cast is None else cast.input[0], gemm.output[0]
    if graph.kind(x) not in _FLOATS or not 0 < graph.shape(x)[-1] <= MAX_WIDTH:
        return None
    nodes = graph.between(x, out)
    reads = {"x": x, "weight": gemm.input[1], "bias": gemm.input[2]}
    for name, readers in graph.outside(nodes).items():
        if name not in reads.values():
            kind = readers[0].op_type
            role = "count" if kind == "Div" else "norm" if len(graph.shape(name)) == 1 else "mask"
            reads.setdefault(role, name)
    if set(reads) != {"x", "weight", "bias", "norm", "mask", "count"} or len(reads) != len(graph.outside(nodes)):
        return None
    counted = graph.made(reads["count"], "ReduceSum")
    if counted is None or counted.input[0] != reads["mask"] or graph.shape(reads["mask"])[2:] != [1]:
        return None
    part, eps = Subgraph(nodes, out, reads), _epsilon(graph, nodes)
    return None if eps is None or not _is_tail(graph, part, eps) else (part, eps)


def _epsilon(graph: GraphIndex, nodes: Iterable[onnx.NodeProto]) -> float | None:
    """What is added to the mean of the squares."""
    for node in nodes:
        for name in node.input if node.op_type == "Add" else ():
            if name in graph.constants and any(graph.made(other, "ReduceMean") for other in node.input):
                return float(numpy_helper.to_array(graph.constants[name]).reshape(-1)[0])
    return None


def _is_tail(graph: GraphIndex, part: Subgraph, eps: float) -> bool:
    """Whether a part is what PoolSum and PoolProject compute together."""
    rng = np.random.default_rng(0)
    embedding, width = graph.shape(part.reads["weight"])
    x, norm = rng.normal(size=(1, _TOKENS, width)), rng.uniform(0.5, 1.5, width)
    weight, bias = rng.normal(size=(embedding, width)) * width**-0.5, rng.normal(size=embedding)
    mask = (np.arange(_TOKENS) < _SEEN).astype(np.float32)[None, :, None]
    feeds = {"x": x, "norm": norm, "mask": mask, "count": mask.sum(1), "weight": weight, "bias": bias}
    normed = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + eps)
    found = graph.evaluate(part, feeds)
    return found is not None and _agree(found, normed[:, :_SEEN].mean(1) * norm @ weight.T + bias)


def _agree(found: NDArray[Any], wanted: NDArray[Any]) -> bool:
    return found.shape == wanted.shape and bool(np.abs(found - wanted).max() < _CLOSE)


# --- small things about graphs ---


def _first_input(graph: GraphIndex, name: str, wanted: Callable[[onnx.NodeProto], bool]) -> onnx.NodeProto | None:
    """The nearest node that is wanted on the way from a tensor up through first inputs."""
    node = graph.maker.get(name)
    while node is not None and not wanted(node):
        node = graph.maker.get(node.input[0]) if node.input else None
    return node


def _nearest(
    graph: GraphIndex, start: onnx.NodeProto, wanted: Callable[[onnx.NodeProto], bool]
) -> onnx.NodeProto | None:
    """The nearest node that is wanted among those that `start` depends on."""
    seen, queue = set(start.input), list(start.input)
    for name in queue:
        node: onnx.NodeProto | None = graph.maker.get(name)
        if node is not None and wanted(node):
            return node
        new = [other for other in (node.input if node is not None else ()) if other not in seen]
        seen.update(new)
        queue.extend(new)
    return None


def _permutation(node: onnx.NodeProto) -> list[int]:
    return [i for a in node.attribute if node.op_type == "Transpose" and a.name == "perm" for i in a.ints]


def _types(model: onnx.ModelProto) -> dict[str, Any]:
    """Type and shape of each tensor, as far as ONNX infers them."""
    light = onnx.GraphProto(name="light", node=model.graph.node, input=model.graph.input, output=model.graph.output)
    for tensor in model.graph.initializer:
        if np.prod(tensor.dims) < _SMALL:
            light.initializer.append(tensor)
        else:
            light.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    small = helper.make_model(light, opset_imports=model.opset_import, ir_version=model.ir_version)
    shaped = onnx.shape_inference.infer_shapes(small, data_prop=True).graph
    found = {value.name: value.type.tensor_type for value in (*shaped.value_info, *shaped.input, *shaped.output)}
    for tensor in shaped.initializer:
        found[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims).tensor_type
    return found
