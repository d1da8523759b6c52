"""Reads GGUF files: metadata, and tensors one at a time, dequantised.

The gguf package's reader parses a vocabulary token by token, and transformers' loader takes most of a minute for 135M
parameters; this one walks the header once and dequantises only what is asked for. Format: docs/gguf.md of ggml-
org/ggml.
"""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize
from numpy.typing import NDArray

from vljepa_edge.errors import BundleError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MAX_DIMENSIONS = 4


class TensorInfo(NamedTuple):
    """Where a tensor lies: its shape in NumPy's order, its type, its first byte in the file and how many follow."""

    shape: tuple[int, ...]
    kind: GGMLQuantizationType
    start: int
    size: int


class GgufFile:
    """A GGUF file (version 2 or 3, little endian), mapped, not read. `metadata` by key, `tensors` by name.

    Raises BundleError if it is not one, is cut short, or names a tensor outside itself.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._bytes = np.memmap(self.path, dtype=np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise BundleError(path, f"can't be read: {error}") from error
        self._view = memoryview(self._bytes)  # type: ignore[arg-type]
        self._at = 0
        self.metadata: dict[str, Any] = {}
        try:
            self._read_header()
        except (struct.error, UnicodeDecodeError, ValueError) as error:
            raise BundleError(path, f"is not a complete GGUF file: {error}") from error

    def tensor(self, name: str) -> NDArray[np.float32]:
        """Dequantised, in NumPy's order of axes. Raises BundleError if there is no such tensor."""
        if name not in self.tensors:
            raise BundleError(self.path, f"has no tensor {name!r}")
        info = self.tensors[name]
        raw = self._bytes[info.start : info.start + info.size]
        if info.kind == GGMLQuantizationType.F32:
            floats: NDArray[np.float32] = np.frombuffer(raw.tobytes(), np.float32).reshape(info.shape).copy()
            return floats
        rows = prod(info.shape[:-1])
        values: NDArray[np.float32] = dequantize(raw.reshape(rows, -1), info.kind)
        return values.reshape(info.shape).astype(np.float32, copy=False)

    def _read_header(self) -> None:
        if bytes(self._view[:4]) != b"GGUF":
            raise ValueError("it doesn't start with GGUF")
        self._at = 4
        version, tensors, keys = self._one("I"), self._one("Q"), self._one("Q")
        if version not in (2, 3):
            raise ValueError(f"version {version}; versions 2 and 3 are read")
        for _ in range(keys):
            key = self._string()
            self.metadata[key] = self._value(self._one("I"))
        found = [self._tensor_info() for _ in range(tensors)]
        alignment = int(self.metadata.get("general.alignment", 32))
        data = -(-self._at // alignment) * alignment
        self.tensors = {name: info._replace(start=data + info.start) for name, info in found}
        for name, info in self.tensors.items():
            if info.start + info.size > len(self._view):
                raise ValueError(f"tensor {name!r} ends beyond the file")

    def _tensor_info(self) -> tuple[str, TensorInfo]:
        name, dimensions = self._string(), self._one("I")
        if dimensions > _MAX_DIMENSIONS:
            raise ValueError(f"tensor {name!r} has {dimensions} dimensions")
        shape = tuple(self._one("Q") for _ in range(dimensions))[::-1]
        kind = GGMLQuantizationType(self._one("I"))
        per_block, block_bytes = GGML_QUANT_SIZES[kind]
        return name, TensorInfo(shape, kind, self._one("Q"), prod(shape) // per_block * block_bytes)

    def _one(self, code: str) -> Any:
        value = struct.unpack_from(f"<{code}", self._view, self._at)[0]
        self._at += struct.calcsize(f"<{code}")
        return value

    def _string(self) -> str:
        length = self._one("Q")
        if length > len(self._view) - self._at:
            raise ValueError("a string ends beyond the file")
        text = bytes(self._view[self._at : self._at + length]).decode("utf-8")
        self._at += length
        return text

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind in _SCALARS:
            return self._one(_SCALARS[kind])
        if kind != _ARRAY:
            raise ValueError(f"a value has the unknown type {kind}")
        item, length = self._one("I"), self._one("Q")
        if length > len(self._view) - self._at:
            raise ValueError("an array ends beyond the file")
        if item not in _SCALARS:
            return [self._value(item) for _ in range(length)]
        layout = f"<{length}{_SCALARS[item]}"
        values = list(struct.unpack_from(layout, self._view, self._at))
        self._at += struct.calcsize(layout)
        return values
