"""PyTorch module -> lean ONNX bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

OPSET = 20


def export_module(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
) -> bytes:
    """Trace `module(*inputs.values())` into an ONNX graph. `dynamic`: input or output name -> {axis: name of the free
    dimension}."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the tracer's own notices; the tests check the result against torch
        torch.onnx.export(
            module.eval(), tuple(inputs.values()), buffer,  # type: ignore[arg-type]
            input_names=list(inputs), output_names=list(outputs),
            dynamic_axes={k: dict(v) for k, v in (dynamic or {}).items()}, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    return buffer.getvalue()
