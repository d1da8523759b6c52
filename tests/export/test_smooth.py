"""SmoothQuant: the function stays, and outliers no longer break INT8."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from tests.export.encoders import Example, llama, net, x_encoder
from vljepa_edge.export.fidelity import Fidelity, fidelity
from vljepa_edge.export.onnx_run import run_all, run_outputs
from vljepa_edge.export.qdq import layers, quantise
from vljepa_edge.export.smooth import smooth


def smoothed(example: Example) -> tuple[onnx.ModelProto, int]:
    model = onnx.ModelProto()
    model.CopyFrom(example.model)
    return model, smooth(model, example.fit)


def quality(example: Example, model: onnx.ModelProto) -> Fidelity:
    expected = run_all(example.model.SerializeToString(), example.held_out)
    quantised = quantise(model, layers(model), example.fit)
    return fidelity(expected, run_all(quantised.SerializeToString(), example.held_out))["y"]


@pytest.mark.parametrize(("make", "folds"), [(x_encoder, 2 * 2), (llama, 3 * 2), (net, 0)])
def test_the_function_and_the_nodes_stay(make: Callable[[], Example], folds: int) -> None:
    example = make()
    model, count = smoothed(example)
    assert count == folds  # each norm; in the Llama also up to down
    assert [node.op_type for node in model.graph.node] == [node.op_type for node in example.model.graph.node]
    for a, b in zip(
        run_all(example.model.SerializeToString(), example.held_out),
        run_all(model.SerializeToString(), example.held_out), strict=True,
    ):  # fmt: skip
        np.testing.assert_allclose(a["y"], b["y"], atol=2e-4)


@pytest.mark.parametrize("make", [x_encoder, llama])
def test_with_outliers_int8_meets_the_gate_and_without_smoothing_it_does_not(make: Callable[..., Example]) -> None:
    plain, example = make(), make(outliers=True)
    same = fidelity(*(run_all(e.model.SerializeToString(), plain.held_out) for e in (plain, example)))["y"]
    assert same.worst > 0.9999  # the outliers change nothing in fp32
    without = quality(example, example.model)
    assert not without.meets(0.99, 0.97), without
    found = quality(example, smoothed(example)[0])
    assert found.meets(0.99, 0.97), found


def test_channels_become_even() -> None:
    example = x_encoder(outliers=True)
    model, _ = smoothed(example)
    norm = next(node for node in model.graph.node if node.op_type == "LayerNormalization").output[0]

    def spread(of: onnx.ModelProto) -> float:
        (values,) = run_outputs(of, [norm], example.fit[:1])
        most = np.abs(values[norm]).reshape(-1, values[norm].shape[-1]).max(0)
        return float(most.max() / np.median(most))

    assert spread(model) < spread(example.model) / 4
