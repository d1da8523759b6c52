"""One graph of a bundle before it is ONNX: a module, what it is traced with, and its roles in the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vljepa_edge.export.pytorch.streamed import export_streamed, inline
from vljepa_edge.export.pytorch.trace import export_module
from vljepa_edge.onnx_graphs.half import marked_f32
from vljepa_edge.onnx_graphs.weights import store_weights

STREAMED = 1 << 26
"""Numbers in a module from which its weights are written one at a time. A smaller one is traced with its weights:
norms are then folded into convolutions and products of weights computed."""


@dataclass(frozen=True)
class Graph:
    """A module with sample inputs, names of its outputs, its free dimensions and its roles in the manifest.

    bits: fewer than asked for, where a module of this kind loses nothing by it. f32: fp16 is too narrow to run it in.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    roles: Mapping[str, Mapping[str, Any]]
    axes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    bits: int | None = None
    f32: bool = False

    def write(self, path: Path, bits: int) -> None:
        """As an ONNX file with its weights inside, at `bits` (32 or 16). Raises ExportError when it is too large."""
        if sum(x.numel() for x in chain(self.module.parameters(), self.module.buffers())) < STREAMED:
            graph = export_module(self.module, self.inputs, self.outputs, self.axes)
            whole = graph if bits == 32 else store_weights(graph, self.bits or bits)
        else:
            export_streamed(self.module, self.inputs, self.outputs, self.axes, bits, path)
            whole = inline(path)
            path.with_name(path.name + ".data").unlink()
        path.write_bytes(marked_f32(whole) if self.f32 else whole)


def role(unit: str, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> dict[str, Any]:
    """What the manifest says of a graph's role, but for its file."""
    return {"unit": unit, "inputs": inputs, "outputs": outputs}


def tensor(name: str, dtype: str, *shape: int) -> dict[str, Any]:
    """A tensor as the manifest writes it; -1 is free."""
    return {"name": name, "shape": list(shape), "dtype": dtype}


def features(name: str, sample: Tensor) -> dict[str, Any]:
    """A float tensor of the sample's shape, as the manifest writes it."""
    return tensor(name, "float32", *sample.shape)
