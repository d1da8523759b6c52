"""Walks an ONNX graph node by node, each run by PyTorch. Differentiable wherever PyTorch's own operations are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from vljepa_edge.engines.torch.ops import OPS, Op
from vljepa_edge.errors import EngineError


class Step(NamedTuple):
    """One node, ready to run. `done` are the values that nothing after it reads."""

    label: str
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    done: tuple[str, ...]


class StepError(Exception):
    """A node failed; its cause says why."""


def initialisers(graph: onnx.GraphProto) -> dict[str, torch.Tensor]:
    """The constants that are stored in a graph, by name."""
    return {item.name: tensor(numpy_helper.to_array(item)) for item in graph.initializer}


@torch.no_grad()
def plan(graph: onnx.GraphProto, constants: MutableMapping[str, torch.Tensor], title: str) -> tuple[Step, ...]:
    """The steps of a graph. Nodes that depend on constants only are run now, once and for all.

    constants: of the graph, changed to those that the steps read; an initialiser that is left out of them has to be
    given to `walk`. title: names the graph in messages. Raises EngineError for an operation that OPS lacks, StepError
    when a constant node fails.
    """
    steps: list[Step] = []
    for node in graph.node:
        step = _step(node, title)
        if all(name in constants or not name for name in step.inputs):
            constants.update(_apply(step, {"": None, **constants}))
        else:
            steps.append(step)
    outputs = {item.name for item in graph.output}
    read_later = set(outputs)
    planned: list[Step] = []
    for step in reversed(steps):
        local = {name for name in (*step.inputs, *step.outputs) if name and name not in constants}
        planned.append(step._replace(done=tuple(local - read_later)))
        read_later |= local
    read = outputs.union(*(step.inputs for step in steps))
    for name in [name for name in constants if name not in read]:
        del constants[name]
    return tuple(reversed(planned))


def walk(steps: Iterable[Step], values: dict[str, Any]) -> dict[str, Any]:
    """Run the steps. values: the graph's inputs, its constants and free values; returned with what is left at the end.

    Raises StepError that names the node and the shapes of what it was given.
    """
    values[""] = None
    for step in steps:
        values.update(_apply(step, values))
        for name in step.done:
            del values[name]
    return values


def tensor(array: NDArray[Any]) -> torch.Tensor:
    """An array as PyTorch takes it, shared where it may be written to."""
    if array.dtype.name == "bfloat16":  # NumPy has none of its own
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _step(node: onnx.NodeProto, title: str) -> Step:
    label = f"{node.op_type} {node.name}".strip()
    if node.domain not in ("", "ai.onnx") or node.op_type not in OPS:
        operation = f"{node.domain}.{node.op_type}".lstrip(".")
        raise EngineError(f"{title}: the torch engine does not know {operation}; use openvino or onnxruntime")
    attributes = {item.name: _attribute(item) for item in node.attribute}
    if node.op_type == "Split":
        attributes["num_outputs"] = len(node.output)
    return Step(label, OPS[node.op_type], tuple(node.input), tuple(node.output), attributes, ())


def _apply(step: Step, values: Mapping[str, torch.Tensor | None]) -> dict[str, torch.Tensor]:
    inputs = [values[name] for name in step.inputs]
    try:
        result = step.op(*inputs, **step.attributes)
    except Exception as error:
        shapes = ", ".join("none" if x is None else f"{x.dtype} {list(x.shape)}".removeprefix("torch.") for x in inputs)
        raise StepError(f"{step.label} ({shapes}): {error}") from error
    results = result if isinstance(result, tuple) else (result,)
    return {name: value for name, value in zip(step.outputs, results, strict=False) if name}


def _attribute(item: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(item)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return tensor(numpy_helper.to_array(value))
    return value
