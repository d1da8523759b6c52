"""Compiles kernels for a GPU that isn't here, exactly as the JIT would on it.

A launcher run inside `launch.recorded` keeps its launches instead of making them. Triton's own JIT then specialises the
kernel on those very arguments (alignment of pointers, divisibility of integers, absent pointers) and compiles it, for a
driver that names an architecture and has no device. So a cubin from here is the one that a user's GPU would get.
"""

from __future__ import annotations

import os
from typing import Any

from vljepa_edge.errors import KernelError
from vljepa_edge.kernels.launch import Launch
from vljepa_edge.kernels.triton_or_none import HAS_TRITON
from vljepa_edge.support.install import install_extra

ARCHS = (80, 86, 87, 89, 90, 100, 110, 120)
"""A100; RTX 30; Jetson AGX Orin; RTX 40; H100; B200; Jetson Thor; RTX 50."""


class _Driver:
    """What the JIT asks of a driver before it compiles, answered for one architecture without a device."""

    def __init__(self, arch: int) -> None:
        from triton.backends.compiler import GPUTarget

        self._target = GPUTarget("cuda", arch, 32)

    def get_current_target(self) -> Any:
        return self._target

    def get_current_device(self) -> int:
        """A device for each architecture: the JIT keeps what it compiled by device."""
        arch: int = self._target.arch
        return arch

    def get_current_stream(self, device: int) -> int:
        return 0


def require_compiler() -> None:
    """Raises KernelError unless kernels can be compiled in this process."""
    if not HAS_TRITON:
        raise KernelError(f"compiling kernels needs Triton; on Linux: {install_extra('kernels')}")
    if os.environ.get("TRITON_INTERPRET") == "1":
        raise KernelError("TRITON_INTERPRET=1 makes kernels Python functions; unset it to compile them")


def compiled(launch: Launch, arch: int) -> Any:
    """The launch's kernel as Triton's CompiledKernel for sm_`arch`: `.asm["cubin"]`, `.asm["ptx"]`, `.metadata`.

    Raises KernelError if Triton or ptxas refuse it.
    """
    require_compiler()
    from triton.runtime import driver

    before = driver._active
    driver.set_active(_Driver(arch))
    try:
        return launch.kernel.warmup(*launch.arguments, grid=launch.grid, **launch.config)
    except Exception as error:
        name = getattr(launch.kernel, "__name__", launch.kernel)
        raise KernelError(f"{name} doesn't compile for sm_{arch}: {' '.join(str(error).split())[-400:]}") from error
    finally:
        driver._active = before
