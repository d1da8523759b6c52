"""The reference engine: walks an ONNX graph node by node and runs each with PyTorch on the CPU, as precise as stored.

It is there to check the other engines against, and to run a bundle where PyTorch is already installed. It fuses nothing
and is several times slower than OpenVINO.

The ReferenceEvaluator of onnx agrees with it on the default bundle, but takes 3.3 s for a frame where this takes 0.19 s
(one thread, a busy machine with AVX2 alone): too slow to stream a clip in a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import torch
from numpy.typing import NDArray
from onnx import helper

from vljepa_edge.engines.base import Port, Precision, check_inputs, failed, refused
from vljepa_edge.engines.torch.walk import StepError, initialisers, plan, tensor, walk
from vljepa_edge.errors import EngineError

_OLDEST_OPSET = 13  # before it Softmax, Squeeze and Split meant something else


class TorchGraph:
    """See engines.base.Graph. Nothing is shared between calls but constants, so any number run at once."""

    def __init__(self, model: onnx.ModelProto, name: str) -> None:
        self._name = name
        graph = model.graph
        self._constants = initialisers(graph)
        self._ports = [_port(item) for item in graph.input if item.name not in self._constants]
        self.inputs = tuple(port.name for port in self._ports)
        self.outputs = tuple(item.name for item in graph.output)
        self._steps = plan(graph, self._constants, name)

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        arrays = check_inputs(self._name, self._ports, inputs)
        try:
            return self._run(arrays)
        except StepError as error:
            raise failed(self._name, "PyTorch", error, self._ports, arrays) from error.__cause__

    @torch.inference_mode()
    def _run(self, arrays: list[NDArray[Any]]) -> dict[str, NDArray[Any]]:
        given = {name: tensor(array) for name, array in zip(self.inputs, arrays, strict=True)}
        values = walk(self._steps, {**self._constants, **given})
        return {name: values[name].clone().numpy() for name in self.outputs}


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


def _port(item: onnx.ValueInfoProto) -> Port:
    kind = item.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in kind.shape.dim)
    return Port(item.name, shape, np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type)))
