"""bf16 arithmetic where the processor has it. Elsewhere it is emulated, many times slower than fp32."""

from __future__ import annotations

from functools import lru_cache

import torch


@lru_cache(maxsize=1)
def bf16_is_native() -> bool:
    """Whether this processor multiplies bf16 in hardware, as OpenVINO sees it (x86 and Arm)."""
    from vljepa_edge.support.quiet_openvino import shared_core

    return "BF16" in shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def autocast() -> torch.autocast:
    """Autocast to bf16 on the CPU if that is native, else nothing."""
    return torch.autocast("cpu", torch.bfloat16, enabled=bf16_is_native())
