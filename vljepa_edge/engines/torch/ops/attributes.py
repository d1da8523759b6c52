"""How ONNX writes types, axes and sizes, and what an operation is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from onnx import TensorProto
from torch import Tensor

Op = Callable[..., Any]

DTYPES: dict[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.UINT8: torch.uint8,
    TensorProto.INT8: torch.int8,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.BOOL: torch.bool,
}


def ints(x: Tensor) -> list[int]:
    return [int(value) for value in x.flatten().tolist()]


def axes_of(axes: Tensor | Sequence[int] | None) -> list[int] | None:
    """Axes are an attribute up to opset 12 or 17, an input after."""
    return ints(axes) if isinstance(axes, Tensor) else None if axes is None else list(axes)
