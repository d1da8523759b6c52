"""Attention and pooling tail of a graph as the nodes that `vljepa_edge.kernels.tensorrt.plugin` registers in TensorRT.

Exported graphs hold the PyTorch form of both, some fifty nodes a layer. What `plugin_match` finds becomes a few nodes
of the domain `vljepa`, which TensorRT's ONNX parser looks up among its plugins by name and namespace.

Padding is a mask in a graph and a length for each sequence in a kernel, so it must be at the end, as it is in the
predictor's. Needs onnx, not torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from vljepa_edge.onnx_graphs.plugin_match import GraphIndex, attention_part, count_heads, tail_part

DOMAIN = "vljepa"


def to_plugins(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """A model as `to_half` makes it -> the same with plugins, and how many nodes of them it has; unchanged with none.

    Inputs, outputs and weights stay. Attention in fp16 with a head size of 64 or 128 becomes two nodes, the tail
    (norm, masked mean, projection) becomes two.
    """
    graph = GraphIndex(model)
    written = _Writer(graph)
    for node in model.graph.node:
        if node.op_type == "Softmax":
            written.attention(node)
        elif node.op_type == "Gemm":
            written.tail(node)
    return written.model(), written.plugins


class _Writer:
    """Collects the nodes that replace parts, by the tensor that they make in a part's place."""

    def __init__(self, graph: GraphIndex) -> None:
        self.plugins = 0
        self._graph = graph
        self._new: dict[str, list[onnx.NodeProto]] = {}
        self._constants: dict[str, TensorProto] = {}
        self._lengths: set[str] = set()

    def model(self) -> onnx.ModelProto:
        old = self._graph.model
        if not self._new:
            return old
        nodes = []
        for node in self._graph.nodes:
            nodes.extend(self._new.get(node.output[0], [node]))
        nodes = _used(nodes, [output.name for output in old.graph.output])
        read = {name for node in nodes for name in node.input}
        stored = [t for t in (*old.graph.initializer, *self._constants.values()) if t.name in read]
        graph = helper.make_graph(nodes, old.graph.name, old.graph.input, old.graph.output, stored)
        domains = [*old.opset_import, helper.make_opsetid(DOMAIN, 1)]
        return helper.make_model(graph, opset_imports=domains, ir_version=old.ir_version)

    # --- attention ---

    def attention(self, softmax: onnx.NodeProto) -> None:
        """Replace the attention that a Softmax is part of, if it is one that the plugins compute."""
        part = attention_part(self._graph, softmax)
        if part is None:
            return
        qkv, out = part.reads["qkv"], part.output
        head_dim = self._graph.shape(qkv)[3]
        slots = self._graph.shape(self._graph.maker[qkv].input[0])[-1] // head_dim
        heads = count_heads(self._graph, part, slots, head_dim)
        if heads is None:
            return
        # As constants, the sizes that TensorRT would have to find in the arithmetic before the Reshape.
        shape = self._constant("sizes", np.array([0, 0, slots, head_dim], np.int64))
        packed, keys = f"{out}/qkv", f"{out}/keys"
        tables = [part.reads["cos"], part.reads["sin"]]
        nodes = [helper.make_node("Reshape", [qkv, shape], [packed])]
        nodes.append(self._plugin("RotateKeys", [packed, *tables], keys, heads=str(heads)))
        if "bias" in part.reads:
            added, lengths = self._lengths_of_bias(part.reads["bias"])
            nodes += added
            inputs = [packed, keys, *tables, lengths]
            nodes.append(self._plugin("PaddedAttention", inputs, out, heads=str(heads)))
        else:
            inputs = [packed, keys, *tables]
            nodes.append(self._plugin("BidirectionalAttention", inputs, out, heads=str(heads)))
        self._new[out] = nodes

    def _lengths_of_bias(self, bias: str) -> tuple[list[onnx.NodeProto], str]:
        """int32 (B,) of a bias (B, 1, 1, N), 0 or very negative."""
        seen = f"{bias}/seen"
        half = numpy_helper.from_array(np.asarray(-5e3, helper.tensor_dtype_to_np_dtype(self._graph.kind(bias))))
        least = self._constant(f"{bias}/least", numpy_helper.to_array(half))
        return self._lengths_of(bias, [helper.make_node("Greater", [bias, least], [seen])], seen, (1, 2, 3))

    def _lengths_of(
        self, mask: str, nodes: list[onnx.NodeProto], seen: str, axes: Sequence[int]
    ) -> tuple[list[onnx.NodeProto], str]:
        """The sum of 0 and 1 over all axes but the first; written where it is needed first."""
        lengths = f"{mask}/lengths"
        if lengths in self._lengths:
            return [], lengths
        self._lengths.add(lengths)
        whole = f"{mask}/int32"
        summed = [whole, self._constant(f"{mask}/axes", np.array(axes, np.int64))]
        cast = helper.make_node("Cast", [seen], [whole], to=TensorProto.INT32)
        return [*nodes, cast, helper.make_node("ReduceSum", summed, [lengths], keepdims=0)], lengths

    # --- tail ---

    def tail(self, gemm: onnx.NodeProto) -> None:
        """Replace the norm, masked mean and projection that end in a Gemm, if they are what the plugins compute."""
        found = tail_part(self._graph, gemm)
        if found is None:
            return
        part, eps = found
        reads, out = part.reads, part.output
        added, lengths = self._lengths_of(reads["mask"], [], reads["mask"], (1, 2))
        partial, wide = f"{out}/partial", f"{out}/wide"
        self._new[out] = [
            *added,
            self._plugin("PoolSum", [reads["x"], lengths], partial, eps=repr(eps)),
            self._plugin("PoolProject", [partial, lengths, reads["norm"], reads["weight"], reads["bias"]], wide),
            helper.make_node("Cast", [wide], [out], to=self._graph.kind(out)),
        ]

    def _plugin(self, kind: str, inputs: Sequence[str], output: str, **attributes: str) -> onnx.NodeProto:
        self.plugins += 1
        # TensorRT's parser: the namespace it looks in, and that the code is to be in the engine.
        told: dict[str, Any] = {"plugin_namespace": DOMAIN, "plugin_version": "1", "aot": 1, **attributes}
        return helper.make_node(kind, list(inputs), [output], f"{output}/{kind}", domain=DOMAIN, **told)

    def _constant(self, name: str, array: NDArray[Any]) -> str:
        whole = f"{DOMAIN}/{name}/{'-'.join(map(str, array.flatten()))}"
        self._constants[whole] = numpy_helper.from_array(array, whole)
        return whole


def _used(nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that the outputs depend on."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if any(name in needed for name in node.output):
            kept.append(node)
            needed.update(node.input)
    return kept[::-1]
