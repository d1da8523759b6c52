"""ONNX Runtime over a list of inputs, for graphs that are still being worked on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import onnx
import onnxruntime as ort

from vljepa_edge.export.int8.calibration import Arrays

_ONLY_ERRORS = 3


def run_outputs(model: onnx.ModelProto, names: Sequence[str], inputs: Sequence[Arrays]) -> Iterator[Arrays]:
    """The named values, inner ones too, for each of `inputs`."""
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    known = {output.name for output in asked.graph.output}
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    session = open_session(asked.SerializeToString())
    for given in inputs:
        yield dict(zip(names, session.run(list(names), given), strict=True))


def open_session(model: bytes) -> Any:
    """A session on the CPU in the arithmetic of the graph as it is stored."""
    options = ort.SessionOptions()
    options.log_severity_level = _ONLY_ERRORS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
