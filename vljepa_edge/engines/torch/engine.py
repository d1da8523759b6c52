"""The reference engine: walks an ONNX graph node by node and runs each with PyTorch on the CPU, as precise as stored.

It is there to check the other engines against, and to run a bundle where PyTorch is already installed. It fuses nothing
and is several times slower than OpenVINO.

The ReferenceEvaluator of onnx agrees with it on the default bundle, but takes 3.3 s for a frame where this takes 0.19 s
(one thread, a busy machine with AVX2 alone): too slow to stream a clip in a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx.inliner
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from vljepa_edge.engines.base import Port, Precision, check_inputs, failed, refused
from vljepa_edge.engines.torch.ops import OPS, Op
from vljepa_edge.errors import EngineError

_OLDEST_OPSET = 13  # before it Softmax, Squeeze and Split meant something else


class _Step(NamedTuple):
    """One node, ready to run. `done` are the values that nothing after it reads."""

    label: str
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    done: tuple[str, ...]


class TorchGraph:
    """See engines.base.Graph. Nothing is shared between calls but constants, so any number run at once."""

    def __init__(self, model: onnx.ModelProto, name: str) -> None:
        self._name = name
        graph = model.graph
        self._constants = {item.name: _tensor(numpy_helper.to_array(item)) for item in graph.initializer}
        self._ports = [_port(item) for item in graph.input if item.name not in self._constants]
        self.inputs = tuple(port.name for port in self._ports)
        self.outputs = tuple(item.name for item in graph.output)
        self._steps = self._plan(list(graph.node))

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        arrays = check_inputs(self._name, self._ports, inputs)
        try:
            return self._run(arrays)
        except _StepError as error:
            raise failed(self._name, "PyTorch", error, self._ports, arrays) from error.__cause__

    @torch.inference_mode()
    def _run(self, arrays: list[NDArray[Any]]) -> dict[str, NDArray[Any]]:
        values: dict[str, Any] = {"": None, **self._constants}
        values |= {name: _tensor(array) for name, array in zip(self.inputs, arrays, strict=True)}
        for step in self._steps:
            values.update(_apply(step, values))
            for name in step.done:
                del values[name]
        return {name: values[name].clone().numpy() for name in self.outputs}

    @torch.inference_mode()
    def _plan(self, nodes: list[onnx.NodeProto]) -> tuple[_Step, ...]:
        """Look up each node's operation; run those that depend on constants only, once and for all."""
        steps: list[_Step] = []
        for node in nodes:
            step = self._step(node)
            if all(name in self._constants or not name for name in step.inputs):
                self._constants.update(_apply(step, {"": None, **self._constants}))
            else:
                steps.append(step)
        read_later = set(self.outputs)
        planned: list[_Step] = []
        for step in reversed(steps):
            local = {name for name in (*step.inputs, *step.outputs) if name and name not in self._constants}
            planned.append(step._replace(done=tuple(local - read_later)))
            read_later |= local
        read = read_later.union(*(step.inputs for step in steps))
        self._constants = {name: value for name, value in self._constants.items() if name in read}
        return tuple(reversed(planned))

    def _step(self, node: onnx.NodeProto) -> _Step:
        label = f"{node.op_type} {node.name}".strip()
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPS:
            operation = f"{node.domain}.{node.op_type}".lstrip(".")
            raise EngineError(f"{self._name}: the torch engine does not know {operation}; use openvino or onnxruntime")
        attributes = {item.name: _attribute(item) for item in node.attribute}
        if node.op_type == "Split":
            attributes["num_outputs"] = len(node.output)
        return _Step(label, OPS[node.op_type], tuple(node.input), tuple(node.output), attributes, ())


class TorchEngine:
    """See engines.base.Engine."""

    name = "torch"
    precision: Precision = "f32"

    def compile(self, model: bytes, name: str) -> TorchGraph:
        try:
            proto = onnx.inliner.inline_local_functions(onnx.load_model_from_string(model))
            opset = next((item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")), 0)
            if opset < _OLDEST_OPSET:
                raise ValueError(f"its opset is {opset}; use {_OLDEST_OPSET} or newer")
            return TorchGraph(proto, name)
        except EngineError:
            raise
        except Exception as error:  # protobuf's DecodeError, onnx's and torch's errors share no base but Exception
            raise refused(name, "PyTorch", error) from error


def open_engine(threads: int | None, precision: Precision) -> TorchEngine:
    """See engines.open_engine. `threads` is PyTorch's setting for all of the process. Only f32 is allowed."""
    if precision not in ("auto", "f32"):
        raise EngineError(f"torch: precision must be auto or f32, got {precision}")
    if threads is not None:
        torch.set_num_threads(threads)
    return TorchEngine()


class _StepError(Exception):
    """A node failed; its cause says why."""


def _apply(step: _Step, values: Mapping[str, torch.Tensor | None]) -> dict[str, torch.Tensor]:
    inputs = [values[name] for name in step.inputs]
    try:
        result = step.op(*inputs, **step.attributes)
    except Exception as error:
        shapes = ", ".join("none" if x is None else f"{x.dtype} {list(x.shape)}".removeprefix("torch.") for x in inputs)
        raise _StepError(f"{step.label} ({shapes}): {error}") from error
    results = result if isinstance(result, tuple) else (result,)
    return {name: value for name, value in zip(step.outputs, results, strict=False) if name}


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    if array.dtype.name == "bfloat16":  # NumPy has none of its own
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _attribute(item: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(item)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return _tensor(numpy_helper.to_array(value))
    return value


def _port(item: onnx.ValueInfoProto) -> Port:
    kind = item.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in kind.shape.dim)
    return Port(item.name, shape, np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type)))
