"""Makes Triton 3.7's interpreter round and multiply bf16 as a GPU does, and refuse what it would get wrong.

It truncates where hardware rounds to nearest even, multiplies the bits of bf16 as integers in tl.dot, and does
arithmetic on them. Here conversion is right, products of bf16 are made in fp32 (where they are exact), and any other
arithmetic on bf16 raises: a kernel must convert first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import triton.language as tl
from triton.runtime import interpreter


def install() -> None:
    """Patches the interpreter of this process, once."""
    if getattr(interpreter, "_vljepa_bf16", False):
        return
    interpreter._vljepa_bf16 = True
    builder = interpreter.InterpreterBuilder
    convert, dot, binary = interpreter._convert_float, builder.create_dot, builder.binary_op

    def convert_float(data: Any, source: Any, target: Any, rounding: Any) -> Any:
        if (source, target) == (tl.float32, tl.bfloat16):
            return to_bf16(data).reshape(data.shape)
        if (source, target) == (tl.bfloat16, tl.float32):
            return from_bf16(data.view(np.uint16)).view(np.uint32).reshape(data.shape)
        return convert(data, source, target, rounding)

    def widened(handle: Any) -> Any:
        if handle.dtype.scalar != tl.bfloat16:
            return handle
        return interpreter.TensorHandle(from_bf16(handle.data.view(np.uint16)), tl.float32)

    def create_dot(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        return dot(self, widened(a), widened(b), *rest)

    def binary_op(self: Any, left: Any, right: Any, op: Any) -> Any:
        if left.dtype.scalar == tl.bfloat16:
            raise TypeError("the interpreter can't calculate in bf16; the kernel must convert to fp32 first")
        return binary(self, left, right, op)

    interpreter._convert_float = convert_float
    builder.create_dot, builder.binary_op = create_dot, binary_op


def to_bf16(x: Any) -> Any:
    """fp32 -> the bits of bf16, to nearest even."""
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(x), np.uint16(0x7FC0), rounded)


def from_bf16(bits: Any) -> Any:
    """The bits of bf16 -> fp32, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
