"""Bias correction: what rounding the weights adds to a layer's mean output is taken from its bias.

Nagel et al. 2019 (arXiv 1906.04721), section 4.2, from calibration data: E[y] moves by (W_8 - W) E[x], a constant a
channel, and adds up over the layers of a convolutional network. Inputs are those of the fp32 graph, so each layer is
corrected for itself alone, in any order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from vljepa_edge.export.int8.calibration import Arrays
from vljepa_edge.export.int8.onnx_run import run_outputs
from vljepa_edge.export.int8.qdq import is_transposed
from vljepa_edge.onnx_graphs.weights import dequantised

Floats = NDArray[np.float32]


def correct_biases(
    quantised: onnx.ModelProto, original: onnx.ModelProto, names: Sequence[str], inputs: Sequence[Arrays]
) -> None:
    """Correct, in place, the biases of the layers `names` of `quantised`, which was made from `original`.

    Only layers that carry a bias themselves (Conv and Gemm) are corrected; the bias gets a name of its own, so that
    `original`'s is still there for a layer that goes back to 16 bits.
    """
    before = {node.name: node for node in original.graph.node}
    wanted = [name for name in names if before[name].op_type in ("Conv", "Gemm") and len(before[name].input) > 2]
    if not wanted:
        return
    means = _channel_means(original, [before[name] for name in wanted], inputs)
    old = {w.name: w for w in original.graph.initializer}
    new = {w.name: w for w in quantised.graph.initializer}
    maker = {node.output[0]: node for node in quantised.graph.node}
    for node in quantised.graph.node:
        if node.name not in wanted:
            continue
        first = before[node.name]
        made = maker[node.input[1]]
        rounded = dequantised(made, [numpy_helper.to_array(new[name]) for name in made.input])
        error = rounded - numpy_helper.to_array(old[first.input[1]])
        bias = numpy_helper.to_array(old[first.input[2]])
        name = f"{first.input[2]}/{node.name}/corrected"
        shift = _shift(error, means[first.input[0]], is_transposed(first))
        quantised.graph.initializer.append(numpy_helper.from_array((bias - shift).astype(np.float32), name))
        node.input[2] = name


def _channel_means(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], inputs: Sequence[Arrays]
) -> dict[str, Floats]:
    """E[x] of every channel of each node's input: axis 1 of a convolution's, the last of a product's."""
    axis = {node.input[0]: 1 if node.op_type == "Conv" else -1 for node in nodes}
    sums: dict[str, Floats] = {}
    for values in run_outputs(model, list(axis), inputs):
        for name, value in values.items():
            mean = np.moveaxis(value, axis[name], -1).reshape(-1, value.shape[axis[name]]).mean(0)
            sums[name] = sums.get(name, np.float32(0)) + mean / len(inputs)
    return sums


def _shift(error: Floats, mean: Floats, transposed: bool) -> Floats:
    """(W_8 - W) E[x]: error (O, I / groups, kernel..) of a convolution, (O, I) or (I, O) of a product."""
    if error.ndim == 2:
        return np.asarray(error @ mean if transposed else mean @ error)
    summed = error.reshape(*error.shape[:2], -1).sum(2)
    groups = len(mean) // summed.shape[1]
    by_group = summed.reshape(groups, -1, summed.shape[1])
    return np.asarray(np.einsum("goi,gi->go", by_group, mean.reshape(groups, -1))).reshape(-1)
