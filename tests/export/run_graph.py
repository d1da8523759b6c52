"""Every output of a graph on ONNX Runtime, for a list of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from vljepa_edge.export.int8.calibration import Arrays
from vljepa_edge.export.int8.onnx_run import open_session


def run_all(model: bytes, inputs: Sequence[Arrays]) -> list[dict[str, NDArray[Any]]]:
    """Every output for each of `inputs`."""
    session = open_session(model)
    names = [item.name for item in session.get_outputs()]
    return [dict(zip(names, session.run(names, given), strict=True)) for given in inputs]
