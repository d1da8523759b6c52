"""Training multiplies in bf16 only where that is quick."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vljepa_edge.support.quiet_openvino import openvino as ov
from vljepa_edge.support.quiet_openvino import shared_core
from vljepa_edge.training import precision


@pytest.mark.parametrize("native", [True, False])
def test_autocast_follows_the_processor(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    monkeypatch.setattr(precision, "bf16_is_native", lambda: native)
    with precision.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if native else torch.float32)


def test_native_bf16_is_what_openvino_would_run() -> None:
    """OpenVINO keeps fp32 when it is asked for bf16 on a processor without it."""
    one = ov.opset13.parameter([1, 64], np.float32)
    model = ov.Model([ov.opset13.matmul(one, ov.opset13.constant(np.ones((64, 64), np.float32)), False, False)], [one])
    compiled = shared_core().compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY"})
    chosen = compiled.get_property("INFERENCE_PRECISION_HINT")
    assert (chosen == ov.Type.bf16) == precision.bf16_is_native()
