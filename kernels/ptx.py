"""The parameters of a kernel as its PTX declares them, against those that its Python signature has.

Triton appends pointers to the signature that no caller knows of: scratch memory in global memory, and for the profiler.
Kernels here need neither (their metadata says 0 bytes), but the driver reads as many arguments as the entry declares,
so whoever launches a cubin outside of Triton must pass a null pointer for each.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from vljepa_edge.errors import KernelError

_ENTRY = re.compile(r"\.visible \.entry (\w+)\((.*?)\)", re.DOTALL)
_PARAMETER = re.compile(r"\.param \.(\w+)")
_PTX_TYPE = {"i32": "u32", "fp32": "f32", "i64": "u64"}
_C_TYPE = {"i32": "int32_t", "fp32": "float", "i64": "int64_t"}


class Parameter(NamedTuple):
    """One argument of a launch: its name in the kernel, Triton's type ("*fp16", "i32"), and the type to pass in C++."""

    name: str
    type: str
    cpp: str


class Entry(NamedTuple):
    """What a caller must pass to a cubin: the parameters in order, then `hidden` null pointers."""

    name: str
    parameters: tuple[Parameter, ...]
    hidden: int


def entry(kernel: Any) -> Entry:
    """Of one of Triton's CompiledKernels. Raises KernelError if PTX and signature disagree or scratch is needed."""
    found = _ENTRY.search(kernel.asm["ptx"])
    if found is None:
        raise KernelError(f"the PTX of {kernel.metadata.name} has no entry")
    declared = _PARAMETER.findall(found[2])
    signature = {name: type for name, type in kernel.src.signature.items() if type != "constexpr"}
    parameters = tuple(
        Parameter(name, type, "CUdeviceptr" if type.startswith("*") else _C_TYPE[type])
        for name, type in signature.items()
    )
    expected = ["u64" if p.type.startswith("*") else _PTX_TYPE[p.type] for p in parameters]
    hidden = declared[len(expected) :]
    if declared[: len(expected)] != expected or any(kind != "u64" for kind in hidden):
        raise KernelError(f"{found[1]} declares {declared}, but its signature has {expected}")
    for scratch in ("global_scratch_size", "profile_scratch_size"):
        if getattr(kernel.metadata, scratch, 0):
            raise KernelError(f"{found[1]} needs {scratch} bytes, which only Triton's own launcher allocates")
    return Entry(found[1], parameters, len(hidden))
