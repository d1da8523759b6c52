"""bf16 arithmetic where the processor has it. Elsewhere it is emulated, many times slower than fp32."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import TypeVar

import torch
from torch import nn

_M = TypeVar("_M", bound=nn.Module)


@lru_cache(maxsize=1)
def bf16_is_native() -> bool:
    """Whether this processor multiplies bf16 in hardware, as OpenVINO sees it (x86 and Arm)."""
    from vljepa_edge.support.quiet_openvino import shared_core

    return "BF16" in shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def autocast() -> torch.autocast:
    """Autocast to bf16 on the CPU if that is native, else nothing."""
    return torch.autocast("cpu", torch.bfloat16, enabled=bf16_is_native())


def cast_once(module: _M) -> _M:
    """A frozen copy whose linear layers hold bf16 already, the same bits under autocast in a fraction of the time:
    autocast keeps what it casts only of weights that have a gradient, and casts others again in each call."""
    copied = copy.deepcopy(module).requires_grad_(False).eval()
    for layer in copied.modules():
        if isinstance(layer, nn.Linear):
            layer.to(torch.bfloat16)
    return copied
