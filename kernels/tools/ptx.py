"""The parameters of a kernel as its PTX declares them, against those that its Python signature has.

Triton appends pointers to the signature that no caller knows of: scratch memory in global memory, and for the profiler.
Kernels here need neither (their metadata says 0 bytes), but the driver reads as many arguments as the entry declares,
so whoever launches a cubin outside of Triton must pass a null pointer for each. TensorRT can't be told to, so what it
gets is PTX whose entry doesn't declare them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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


def version_of(kernel: Any) -> int:
    """Of the PTX of one of Triton's CompiledKernels: 87 for 8.7. It follows Triton's ptxas, not the driver."""
    found = re.search(r"^\.version (\d+)\.(\d)", kernel.asm["ptx"], re.MULTILINE)
    assert found is not None  # no PTX is without
    return 10 * int(found[1]) + int(found[2])


def newest_for(cuda: tuple[int, int]) -> int:
    """The newest version of PTX that a driver of this version of CUDA takes: 85 for (12, 6)
    (https://docs.nvidia.com/cuda/parallel-thread-execution/index.html#release-notes)."""
    major, minor = cuda
    return 10 * (major - 4) + (minor - 1 if (12, 6) <= cuda < (13, 0) else minor)


def for_tensorrt(kernel: Any, inputs: Sequence[str], integers: int, outputs: Sequence[str]) -> tuple[str, str]:
    """Name and PTX of a kernel (one of Triton's CompiledKernels) that TensorRT can launch.

    TensorRT passes a pointer to each input, then so many int32, then a pointer to each output
    (https://docs.nvidia.com/deeplearning/tensorrt/latest/_static/python-api/infer/tensorrt.plugin/trt_plugin_aot_impl/),
    and nothing more. `inputs` and `outputs` are Triton's types ("*fp16"). Triton's hidden parameters are taken off the
    entry: they come last, so the others stay where they are, and no instruction may read them. Raises KernelError for
    a kernel that has other parameters, or that uses its hidden ones.
    """
    made = entry(kernel)
    given, passed = [p.type for p in made.parameters], [*inputs, *["i32"] * integers, *outputs]
    if given != passed:
        raise KernelError(f"{made.name} takes {given}, but TensorRT passes {passed}")
    ptx: str = kernel.asm["ptx"]
    found = _ENTRY.search(ptx)
    assert found is not None  # entry() has found it
    declared = found[2].split(",")
    for hidden in (line.split()[-1] for line in declared[len(given) :]):
        if len(re.findall(rf"\b{re.escape(hidden)}\b", ptx)) != 1:
            raise KernelError(f"{made.name} reads {hidden}, which TensorRT doesn't pass")
    kept = ",".join(declared[: len(given)]).rstrip() + "\n"
    return made.name, ptx[: found.start(2)] + kept + ptx[found.end(2) :]
