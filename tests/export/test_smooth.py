"""SmoothQuant: the function stays, and outliers no longer break INT8."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from tests.export.encoders import Example, llama, net, twice, x_encoder
from tests.export.run_graph import run_all
from vljepa_edge.export.int8.fidelity import Fidelity, fidelity
from vljepa_edge.export.int8.onnx_run import run_outputs
from vljepa_edge.export.int8.qdq import layers, quantise
from vljepa_edge.export.int8.smooth import smooth


def smoothed(example: Example) -> tuple[onnx.ModelProto, int]:
    model = onnx.ModelProto()
    model.CopyFrom(example.model)
    return model, smooth(model, example.fit)


def quality(example: Example, model: onnx.ModelProto) -> Fidelity:
    expected = run_all(example.model.SerializeToString(), example.held_out)
    quantised = quantise(model, layers(model), example.fit)
    return fidelity(expected, run_all(quantised.SerializeToString(), example.held_out))["y"]


@pytest.mark.parametrize(("make", "folds"), [(x_encoder, 2 * 2), (llama, 3 * 2), (twice, 2 * 3 * 2), (net, 0)])
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


@pytest.mark.parametrize("make", [x_encoder, llama, twice])
def test_with_outliers_int8_meets_the_gate_and_without_smoothing_it_does_not(make: Callable[..., Example]) -> None:
    plain, example = make(), make(outliers=True)
    same = fidelity(*(run_all(e.model.SerializeToString(), plain.held_out) for e in (plain, example)))["y"]
    assert same.worst > 0.9999  # the outliers change nothing in fp32
    without = quality(example, example.model)
    assert not without.meets(0.99, 0.97), without
    found = quality(example, smoothed(example)[0])
    assert found.meets(0.99, 0.97), found


def test_weights_that_run_twice_are_still_stored_once() -> None:
    example = twice(outliers=True)
    model, _ = smoothed(example)
    assert sizes(model) == sizes(example.model)


def test_a_run_that_can_not_be_smoothed_keeps_the_weights_as_they_were() -> None:
    example = twice(outliers=True)
    norm = next(node for node in example.model.graph.node if node.op_type == "Mul" and norm_gain(example.model, node))
    example.model.graph.output.append(onnx.helper.make_empty_tensor_value_info(norm.output[0]))
    model, count = smoothed(example)
    assert count == 2 * 3 * 2 - 1
    assert len(sizes(model)) == len(sizes(example.model)) + 2  # the gain and the weights of the one that was smoothed
    for a, b in zip(
        run_all(example.model.SerializeToString(), example.held_out),
        run_all(model.SerializeToString(), example.held_out), strict=True,
    ):  # fmt: skip
        np.testing.assert_allclose(a["y"], b["y"], atol=2e-4)


def norm_gain(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Whether a product is a norm's with its gain."""
    gains = {weight.name for weight in model.graph.initializer if list(weight.dims) == [96]}
    return bool(gains.intersection(node.input))


def sizes(model: onnx.ModelProto) -> list[list[int]]:
    """Shapes of a graph's weights."""
    return sorted(list(weight.dims) for weight in model.graph.initializer)


def test_channels_become_even() -> None:
    example = x_encoder(outliers=True)
    model, _ = smoothed(example)
    norm = next(node for node in model.graph.node if node.op_type == "LayerNormalization").output[0]

    def spread(of: onnx.ModelProto) -> float:
        (values,) = run_outputs(of, [norm], example.fit[:1])
        most = np.abs(values[norm]).reshape(-1, values[norm].shape[-1]).max(0)
        return float(most.max() / np.median(most))

    assert spread(model) < spread(example.model) / 4
