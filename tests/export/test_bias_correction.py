"""Bias correction takes away what rounded weights add in the mean, computed here in float64 by hand."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional as F

from tests.export.encoders import net, wide
from tests.export.run_graph import run_all
from vljepa_edge.export.int8.bias_correction import correct_biases
from vljepa_edge.export.int8.calibration import Arrays
from vljepa_edge.export.int8.fidelity import fidelity
from vljepa_edge.export.int8.qdq import keep_float, layers, prepare, quantise
from vljepa_edge.export.pytorch.trace import export_module


def corrected_bias(module: nn.Module, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bias after correction on the input `given`, and the rounded weights."""
    model = onnx.load_from_string(export_module(module, {"x": torch.from_numpy(given)}, ("y",)))
    prepare(model)
    (name,) = layers(model)
    quantised = quantise(model, [name], [{"x": given}])
    correct_biases(quantised, model, [name], [{"x": given}])
    values = {w.name: numpy_helper.to_array(w) for w in quantised.graph.initializer}
    node = next(n for n in quantised.graph.node if n.name == name)
    maker = next(n for n in quantised.graph.node if n.output[0] == node.input[1])
    levels, scale = (values[i].astype(np.float64) for i in maker.input[:2])
    return values[node.input[2]], levels * scale.reshape(-1, *[1] * (levels.ndim - 1))


def test_a_depthwise_convolution_keeps_its_mean() -> None:
    module = wide(nn.Conv2d(128, 128, 3, groups=128))
    x = np.random.default_rng(0).normal(1.0, 0.5, (1, 128, 9, 9)).astype(np.float32)
    bias, rounded = corrected_bias(module, x)
    error = rounded - module.weight.detach().double().numpy()  # type: ignore[union-attr]
    moved = error.sum((1, 2, 3)) * x.astype(np.float64).mean((0, 2, 3))
    np.testing.assert_allclose(bias, module.bias.detach().numpy() - moved, atol=1e-6)  # type: ignore[union-attr]
    assert np.abs(moved).max() > 1e-4


def test_a_grouped_convolution_keeps_its_mean() -> None:
    module = wide(nn.Conv2d(32, 64, 3, groups=4))
    x = np.random.default_rng(1).normal(1.0, 0.5, (1, 32, 9, 9)).astype(np.float32)
    bias, rounded = corrected_bias(module, x)
    mean = torch.from_numpy(x).double().mean((0, 2, 3))
    error = torch.from_numpy(rounded) - module.weight.detach().double()  # type: ignore[operator]
    flat = mean[None, :, None, None].expand(1, 32, 3, 3)
    moved = F.conv2d(flat, error, groups=4).flatten().numpy()  # a constant picture: its output is the mean's
    np.testing.assert_allclose(bias, module.bias.detach().numpy() - moved, atol=1e-6)  # type: ignore[union-attr]


def test_a_linear_keeps_its_mean() -> None:
    module = wide(nn.Linear(64, 32))
    x = np.random.default_rng(2).normal(1.0, 0.5, (20, 64)).astype(np.float32)
    bias, rounded = corrected_bias(module, x)
    moved = (rounded - module.weight.detach().double().numpy()) @ x.astype(np.float64).mean(0)  # type: ignore[union-attr]
    np.testing.assert_allclose(bias, module.bias.detach().numpy() - moved, atol=1e-6)  # type: ignore[union-attr]


def test_a_convolutional_net_comes_closer_to_fp32_and_a_float_layer_gets_its_own_bias_back() -> None:
    example = net()
    names = layers(example.model)
    expected = run_all(example.model.SerializeToString(), example.held_out)
    quantised = quantise(example.model, names, example.fit)
    before = run_all(quantised.SerializeToString(), example.held_out)
    correct_biases(quantised, example.model, names, example.fit)
    after = run_all(quantised.SerializeToString(), example.held_out)

    def wrong(found: list[Arrays]) -> float:
        return float(np.mean([np.abs(a["y"] - b["y"]).mean() for a, b in zip(expected, found, strict=True)]))

    assert wrong(after) < wrong(before)
    everything = keep_float(quantised, example.model, set(names))
    assert fidelity(expected, run_all(everything.SerializeToString(), example.held_out))["y"].worst > 1 - 1e-6
