"""Which layers go back to 16 bits: the ones that do harm, and no more of them than it takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import numpy_helper

from tests.export.encoders import Example, net, twice
from tests.export.quiet import quiet
from vljepa_edge.engines import open_engine
from vljepa_edge.export.int8.comparison import GraphComparison
from vljepa_edge.export.int8.fidelity import Fidelity, cosine_rows, fidelity, least
from vljepa_edge.export.int8.qdq import layers, quantise
from vljepa_edge.export.int8.sensitivity import Choice, Sensitivity


def spoilt(model: onnx.ModelProto, layer: str, factor: float) -> None:
    """Make a layer's activation scale so large that little is left of what passes."""
    maker = {name: node for node in model.graph.node for name in node.output}
    node = next(n for n in model.graph.node if n.name == layer)
    dequantise = maker[node.input[0]]
    for part in (dequantise, maker[dequantise.input[0]]):
        name = f"{part.name}/spoilt"
        scale = next(w for w in model.graph.initializer if w.name == part.input[1])
        model.graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(scale) * np.float32(factor), name))
        part.input[1] = name


def chosen(
    target: Fidelity, *broken: int, make: Callable[[], Example] = net
) -> tuple[list[str], Choice, dict[str, Fidelity]]:
    """The names of all layers, what was chosen, and what that keeps of the graph's outputs."""
    example = make()
    names = layers(example.model)
    quantised = quantise(example.model, names, example.fit)
    for layer in broken:
        spoilt(quantised, names[layer], 60)
    comparison = GraphComparison(example.model, example.held_out, lambda graph: [], open_engine("onnxruntime"), "net")
    measured = Sensitivity(example.model, quantised, names, comparison, quiet, "net")
    choice = measured.choose(target)
    return names, choice, comparison(choice.model)


def test_nothing_goes_back_when_all_is_well() -> None:
    _, choice, kept = chosen(Fidelity(0.9, 0.8))
    assert {layer.bits for layer in choice.layers} == {8}
    assert all(layer.alone.mean > 0.99 for layer in choice.layers)
    assert least(kept).meets(0.9, 0.8)


def test_the_broken_layers_go_back_and_only_they() -> None:
    names, choice, kept = chosen(Fidelity(0.99, 0.97), 1, 3)
    assert [layer.name for layer in choice.layers] == names
    assert [layer.name for layer in choice.layers if layer.bits == 16] == [names[1], names[3]]
    assert all(layer.alone.mean < 0.99 for layer in choice.layers if layer.bits == 16)
    assert least(kept).meets(0.99, 0.97)


def test_layers_that_share_weights_go_back_together() -> None:
    _, choice, _ = chosen(Fidelity(0.99, 0.97), 1, make=twice)
    weights = {node.name: node.input[1] for node in twice().model.graph.node if len(node.input) > 1}
    back = [layer.name for layer in choice.layers if layer.bits == 16]
    assert len(back) == 2 and len({weights[name] for name in back}) == 1
    stored = [weight for weight in choice.model.graph.initializer if len(weight.dims) == 2 and 96 in weight.dims]
    assert len(stored) == 4 * 2  # each weight of the stack's two layers, once


def test_a_target_that_int8_can_not_reach_leaves_the_float_graph() -> None:
    _, choice, _ = chosen(Fidelity(1 - 1e-9, 1 - 1e-9))
    assert {layer.bits for layer in choice.layers} == {16}
    assert not any("Linear" in node.op_type for node in choice.model.graph.node)


def test_cosines_are_of_tokens_and_zeros_are_alike() -> None:
    a = np.array([[[1.0, 0.0], [0.0, 0.0], [3.0, 4.0]]])
    b = np.array([[[2.0, 0.0], [0.0, 0.0], [-4.0, 3.0]]])
    np.testing.assert_allclose(cosine_rows(a, b), [1.0, 1.0, 0.0], atol=1e-12)
    found = fidelity([{"x": a}], [{"x": b}])["x"]
    assert found == Fidelity(2 / 3, 0.0) and not found.meets(0.6, 0.5)
