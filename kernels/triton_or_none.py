"""Triton where it is installed, and a stand-in that says how to get it where it is not.

Triton is an extra: on a CPU, on macOS or in a plain wheel the operations of this package run in PyTorch, and importing
them must not fail. `triton.jit` of the stand-in leaves a kernel that raises KernelError when it is launched.
"""

from __future__ import annotations

from typing import Any

from vljepa_edge.errors import KernelError
from vljepa_edge.support.install import install_extra

__all__ = ["HAS_TRITON", "cdiv", "next_power_of_2", "tl", "triton"]


class _Kernel:
    def __init__(self, function: Any) -> None:
        self.__name__ = function.__name__

    def __getitem__(self, grid: object) -> Any:
        raise KernelError(
            f"the kernel {self.__name__} needs Triton, which isn't here; on Linux: {install_extra('kernels')}"
        )


class _Absent:
    jit = _Kernel


try:
    import triton
    import triton.language as tl

    HAS_TRITON = True
except ImportError:
    triton, tl = _Absent(), None
    HAS_TRITON = False


def cdiv(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


def next_power_of_2(n: int) -> int:
    """The smallest power of two that is at least n, and 1."""
    return 1 << max(0, n - 1).bit_length()
