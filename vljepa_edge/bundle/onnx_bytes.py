"""What can be told of an ONNX file without the onnx package: weights kept outside it, and the inputs it declares.

External data is a file path inside the model: a hostile one reads any file of the machine. A bundle's graphs carry
their weights, so the answer must be none. Only messages that can hold a tensor are walked; weights are skipped over.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

# message -> {field number: message it holds}, from onnx.proto3
_MESSAGES = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
}
_MODEL_GRAPH, _GRAPH_INITIALIZER, _GRAPH_INPUT, _VALUE_NAME = 7, 5, 11, 1
_VALUE_DIMENSIONS = (2, 1, 2, 1)  # of a ValueInfo: type, tensor_type, shape, dim
_DIMENSION_SYMBOL = 2
_LOCATION = b"location"  # the key of the path, which no tensor kept elsewhere can do without
_TENSOR_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 8, 13, 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def external_weights(model: bytes | mmap.mmap) -> list[str]:
    """Names of the tensors of a serialised ONNX ModelProto that live in other files. ValueError: not an ONNX model."""
    for graph in (graphs := list(_messages(memoryview(model), _MODEL_GRAPH))):
        for _ in _fields(graph):  # complete, at least at the top
            pass
    if not graphs:
        raise ValueError("it holds no graph")
    return _walk(model) if model.find(_LOCATION) >= 0 else []


def _walk(model: bytes | mmap.mmap) -> list[str]:
    """A second or so for a large graph in Python, so only for the few models that might keep something elsewhere."""
    found: list[str] = []
    waiting: list[tuple[str, memoryview]] = [("Model", memoryview(model))]
    while waiting:
        kind, message = waiting.pop()
        if kind == "Tensor":
            name, external = _tensor(message)
            if external:
                found.append(name)
            continue
        held = _MESSAGES[kind]
        for field, value in _fields(message):
            if field in held and isinstance(value, memoryview):
                waiting.append((held[field], value))
    return found


def declared_inputs(model: bytes | memoryview) -> dict[str, tuple[str | None, ...]]:
    """The inputs of a serialised ONNX ModelProto, those that no node uses included, and the symbol of each dimension.

    Dimensions of one symbol have one size; None is a fixed or an anonymous one. ValueError: not an ONNX model.
    """
    inputs: dict[str, tuple[str | None, ...]] = {}
    weights: set[str] = set()
    for graph in _messages(memoryview(model), _MODEL_GRAPH):
        for value in _messages(graph, _GRAPH_INPUT):
            dimensions = [value]
            for number in _VALUE_DIMENSIONS:
                dimensions = [inner for outer in dimensions for inner in _messages(outer, number)]
            inputs[_text(value, _VALUE_NAME)] = tuple(_text(d, _DIMENSION_SYMBOL) or None for d in dimensions)
        weights |= {_text(tensor, _TENSOR_NAME) for tensor in _messages(graph, _GRAPH_INITIALIZER)}
    return {name: symbols for name, symbols in inputs.items() if name not in weights}


def _messages(message: memoryview, number: int) -> Iterator[memoryview]:
    for field, value in _fields(message):
        if field == number and isinstance(value, memoryview):
            yield value


def _text(message: memoryview, number: int) -> str:
    return bytes(next(_messages(message, number), b"")).decode("utf-8", "replace")


def _tensor(message: memoryview) -> tuple[str, bool]:
    external = False
    for field, value in _fields(message):
        external |= field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0)
    return _text(message, _TENSOR_NAME), external


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        field, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield field, value
            continue
        if wire == _BYTES:
            size, at = _varint(message, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if field == 0 or at + size > end:
            raise ValueError(f"a field of {size} bytes at byte {at} of {end}")
        yield field, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("it ends in the middle of a number")
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number is longer than 10 bytes")
