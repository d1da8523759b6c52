"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from vljepa_edge.engines.base import Port, Precision, check_inputs, failed, refused
from vljepa_edge.errors import EngineError

_ONLY_ERRORS = 3
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class OnnxRuntimeGraph:
    """See engines.base.Graph. A session takes calls from several threads by itself."""

    def __init__(self, session: Any, name: str) -> None:
        self._name = name
        self._session = session
        self._ports = [_port(name, item) for item in session.get_inputs()]
        self.inputs = tuple(port.name for port in self._ports)
        self.outputs = tuple(item.name for item in session.get_outputs())

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        arrays = check_inputs(self._name, self._ports, inputs)
        try:
            results = self._session.run(self.outputs, dict(zip(self.inputs, arrays, strict=True)))
        except Exception as error:  # onnxruntime's errors share no base but Exception
            raise failed(self._name, "ONNX Runtime", error, self._ports, arrays) from error
        return dict(zip(self.outputs, results, strict=True))


class OnnxRuntimeEngine:
    """See engines.base.Engine."""

    name = "onnxruntime"
    precision: Precision = "f32"

    def __init__(self, threads: int | None) -> None:
        ort.disable_telemetry_events()
        self._options = ort.SessionOptions()
        self._options.log_severity_level = _ONLY_ERRORS
        self._options.intra_op_num_threads = threads or 0
        self._options.inter_op_num_threads = 1
        # Idle threads would spin between hops and take the cores from video decoding.
        self._options.add_session_config_entry("session.intra_op.allow_spinning", "0")

    def compile(self, model: bytes, name: str) -> OnnxRuntimeGraph:
        try:
            session = ort.InferenceSession(model, self._options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base but Exception
            raise refused(name, "ONNX Runtime", error) from error
        return OnnxRuntimeGraph(session, name)


def open_engine(threads: int | None, precision: Precision) -> OnnxRuntimeEngine:
    """See engines.open_engine. A graph runs at the precision it is stored in, so only f32 is allowed."""
    if precision not in ("auto", "f32"):
        raise EngineError(f"onnxruntime: precision must be auto or f32 on the CPU, got {precision}")
    return OnnxRuntimeEngine(threads)


def _port(graph: str, item: Any) -> Port:
    if item.type not in _TYPES:
        raise EngineError(f"{graph}: the type of input {item.name} must be one of {', '.join(_TYPES)}, got {item.type}")
    return Port(item.name, tuple(item.shape), np.dtype(_TYPES[item.type]))
