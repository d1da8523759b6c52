"""What a graph must at least do: its multiplications and additions, and the weights that they read.

Counted from the shapes of the convolutions and matrix products of an ONNX graph (Conv, MatMul, Gemm), as OpenVINO
reads it: it works shapes out through any Reshape. A multiplication and an addition are two operations. Everything else
(norms, activations, softmax) is left out: a processor's peak is stated for these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from vljepa_edge.support.quiet_openvino import shared_core

_CONVOLUTIONS = ("Convolution", "GroupConvolution")
_DEQUANTISING = ("Multiply", "Subtract", "Convert", "Transpose", "Reshape")


@dataclass(frozen=True)
class Cost:
    """Operations of one run, those in depthwise convolutions among them, and how many weights it reads; and how many
    of either are in INT8."""

    flops: int = 0
    depthwise: int = 0
    weights: int = 0
    int8_flops: int = 0
    int8_weights: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, times: int) -> Cost:
        return Cost(*(times * number for number in astuple(self)))


def graph_cost(model: bytes, shapes: Mapping[str, Sequence[int]]) -> Cost:
    """The cost of one run of a serialised ONNX model with inputs of these shapes."""
    network = shared_core().read_model(model, b"")
    network.reshape({item.node.friendly_name: list(shapes[item.node.friendly_name]) for item in network.inputs})
    total, constant = Cost(), {}
    weights: dict[bool, dict[str, int]] = {True: {}, False: {}}  # by whether they are in INT8
    for node in network.get_ordered_ops():
        kind = node.get_type_name()
        constant[node.friendly_name] = kind != "Parameter" and all(
            constant[parent.get_node().friendly_name] for parent in node.input_values()
        )
        if constant[node.friendly_name] or kind not in (*_CONVOLUTIONS, "MatMul"):
            continue
        cost, int8 = _convolution(node) if kind in _CONVOLUTIONS else _product(node), _is_int8(node)
        total += replace(cost, int8_flops=int8 * cost.flops)
        for parent in node.input_values():
            if constant[parent.get_node().friendly_name]:
                weights[int8][parent.get_node().friendly_name] = math.prod(parent.get_shape())
    read = {int8: sum(sizes.values()) for int8, sizes in weights.items()}
    return replace(total, weights=read[True] + read[False], int8_weights=read[True])


def _is_int8(node: Any) -> bool:
    """Whether what it reads was rounded to 8 bits: QuantizeLinear, which OpenVINO reads as FakeQuantize, and back."""
    parent = node.input_value(0).get_node()
    while parent.get_type_name() in _DEQUANTISING:
        parent = parent.input_value(0).get_node()
    return bool(parent.get_type_name() == "FakeQuantize")


def _convolution(node: Any) -> Cost:
    """Every output element is a sum over the filter: (groups,) outputs, inputs of a group, kernel."""
    kernel = list(node.input(1).get_shape())
    grouped = node.get_type_name() == "GroupConvolution"
    inputs_of_group, window = (kernel[2], kernel[3:]) if grouped else (kernel[1], kernel[2:])
    flops = 2 * math.prod(node.output(0).get_shape()) * inputs_of_group * math.prod(window)
    return Cost(flops, flops if grouped and inputs_of_group == 1 else 0)


def _product(node: Any) -> Cost:
    left = list(node.input(0).get_shape())
    summed = left[-2] if node.get_attributes()["transpose_a"] and len(left) > 1 else left[-1]
    return Cost(2 * math.prod(node.output(0).get_shape()) * summed)
