"""GraphModule against the module a graph was exported from, against finite differences, and against the engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.engines import open_engine
from vljepa_edge.errors import GraphError
from vljepa_edge.export.pytorch.trace import export_module
from vljepa_edge.nn.config import LlamaStackConfig, PredictorConfig, StreamConfig
from vljepa_edge.nn.predictor import Predictor
from vljepa_edge.onnx_graphs.weights import store_weights
from vljepa_edge.perception.perception import Perception
from vljepa_edge.perception.window_encoder import WindowEncoder
from vljepa_edge.training.finetune.graph_module import GraphModule

Arrays = dict[str, NDArray[Any]]
WIDTH, QUERY, EMBEDDING = 24, 20, 12


class Module(nn.Module):
    """The paper's predictor, small, in a form that exports."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        stack = LlamaStackConfig(hidden=32, layers=2, heads=4, kv_heads=2, ffn=48, max_positions=64)
        streams = (StreamConfig("x_encoder", WIDTH),)
        self.predictor = Predictor(PredictorConfig(streams, query_dim=QUERY, embedding=EMBEDDING, stack=stack))
        for parameter in self.predictor.parameters():  # no gradient too small to compare, no two weights the same
            nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.2)

    def forward(self, x_encoder: Tensor, query_tokens: Tensor, query_mask: Tensor) -> Tensor:
        found: Tensor = self.predictor({"x_encoder": x_encoder}, query_tokens, query_mask)
        return found


def example(seed: int, tokens: int = 5, padding: int = 0) -> dict[str, Tensor]:
    made = torch.Generator().manual_seed(seed)
    return {
        "x_encoder": torch.randn(1, 7, WIDTH, generator=made),
        "query_tokens": torch.randn(1, tokens, QUERY, generator=made),
        "query_mask": (torch.arange(tokens) < tokens - padding).long()[None],
    }


def stacked(examples: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([item[name] for item in examples]) for name in examples[0]}


@pytest.fixture(scope="module")
def module() -> Module:
    return Module()


@pytest.fixture(scope="module")
def exported(module: Module) -> bytes:
    free = {"query_tokens": {1: "tokens"}, "query_mask": {1: "tokens"}}
    return export_module(module, example(0), ("embedding",), free)


def test_outputs_and_gradients_are_those_of_the_module_it_was_exported_from(module: Module, exported: bytes) -> None:
    graph = GraphModule(exported, "predictor")
    given = [example(1), example(2, padding=2)]
    towards = torch.randn(2, EMBEDDING, generator=torch.Generator().manual_seed(3))
    module.zero_grad()
    batch = {name: value.flatten(0, 1) for name, value in stacked(given).items()}
    expected = module(**batch)
    (expected * towards).sum().backward()
    found = graph.each(stacked(given))["embedding"][:, 0]
    (found * towards).sum().backward()

    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)
    left = dict(zip(graph.names, graph.weights, strict=True))
    for name, parameter in module.named_parameters():
        alike = [
            (other, weight, turned)
            for other, weight in left.items()
            for turned in (False, True)
            if torch.equal(weight.t() if turned else weight, parameter)
        ]
        assert alike, f"{name} is no parameter of the graph"
        other, weight, turned = next((item for item in alike if item[0] == name), alike[0])
        del left[other]
        assert weight.grad is not None and parameter.grad is not None
        torch.testing.assert_close(weight.grad.t() if turned else weight.grad, parameter.grad, atol=2e-6, rtol=1e-4)
    assert not left, f"parameters that the module does not have: {', '.join(left)}"


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "torch"])
@pytest.mark.parametrize("bits", [32, 16, 8])
def test_before_training_it_is_what_an_engine_makes_of_the_graph(exported: bytes, engine: str, bits: int) -> None:
    stored = exported if bits == 32 else store_weights(exported, bits)
    graph = GraphModule(stored, "predictor")
    compiled = open_engine(engine, threads=1, precision="f32").compile(stored, "predictor")
    near = 3e-3 if bits == 8 and engine != "torch" else 5e-6  # they round activations too beside 8-bit weights
    for padding in range(3):
        given = example(padding, padding=padding)
        with torch.no_grad():
            found = graph(given)["embedding"].numpy()
        expected = compiled({name: value.numpy() for name, value in given.items()})["embedding"]
        np.testing.assert_allclose(found, expected, atol=near)


def test_gradients_are_finite_differences_in_float64(toy: Path) -> None:
    graph = GraphModule(Bundle.open(toy).read("graphs/predictor.onnx"), "predictor").double()
    made = torch.Generator().manual_seed(0)
    given = {
        "appearance": torch.randn(3, 1, 8, 4, 8, generator=made).double(),
        "motion": torch.randn(3, 1, 2, 4, generator=made).double(),
        "query_tokens": torch.randn(3, 1, 5, 16, generator=made).double(),
        "query_mask": torch.tensor([[[1, 1, 1, 1, 1]], [[1, 1, 1, 0, 0]], [[0, 0, 0, 0, 0]]]),
    }
    assert len(graph.names) == 3

    def embedding(*weights: Tensor) -> Tensor:
        values = {f"weights.{i}": weight for i, weight in enumerate(weights)}
        return torch.func.functional_call(_Each(graph), {f"graph.{k}": v for k, v in values.items()}, (given,))

    assert torch.autograd.gradcheck(embedding, tuple(graph.weights))


class _Each(nn.Module):
    def __init__(self, graph: GraphModule) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, given: dict[str, Tensor]) -> Tensor:
        return self.graph.each(given)["embedding"]


def test_many_examples_at_once_are_each_of_them_alone(exported: bytes) -> None:
    graph = GraphModule(exported, "predictor")
    given = [example(seed, padding=seed % 3) for seed in range(4)]
    with torch.no_grad():
        together = graph.each(stacked(given))["embedding"]
        alone = torch.stack([graph(item)["embedding"] for item in given])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


@pytest.fixture(scope="module")
def default_predictor() -> bytes:
    return Bundle.open(default_bundle()).read("graphs/predictor.onnx")


@pytest.fixture(scope="module")
def seen() -> list[Arrays]:
    """What the default X-encoder and query graph give of drawn clips: a square that crosses a coloured ground."""
    bundle = Bundle.open(default_bundle())
    perception = Perception(bundle, open_engine("openvino", threads=1, precision="f32"))
    query = perception.text.query("What is happening?")
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        encoder = WindowEncoder(perception.vision)
        ground = rng.integers(256, size=3).astype(np.uint8)
        for time in range(8):
            frame = np.broadcast_to(ground, (224, 224, 3)).copy()
            frame[60:140, 20 * time : 20 * time + 60] = 255 - ground
            encoder.push(frame, time / 4)
        features = {name: encoder.features()[name].copy() for name in ("appearance", "motion")}
        found.append({**features, "query_tokens": query.tokens, "query_mask": query.mask})
    return found


def cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_the_default_predictor_without_its_roundings_is_near_the_int8_one(
    default_predictor: bytes, seen: list[Arrays], engine: str
) -> None:
    graph = GraphModule(default_predictor, "predictor")
    rounded = open_engine(engine, threads=1, precision="f32").compile(default_predictor, "predictor")
    for given in seen:
        with torch.no_grad():
            found = graph({name: torch.from_numpy(array) for name, array in given.items()})["embedding"].numpy()
        assert 0.999 < cosine(found, rounded(given)["embedding"]) < 1 - 1e-7  # it is rounded, and not by much


@pytest.mark.parametrize("changed", [False, True], ids=["as it was", "after a step"])
def test_the_graph_that_is_written_gives_what_the_module_gives(
    default_predictor: bytes, seen: list[Arrays], changed: bool
) -> None:
    graph = GraphModule(default_predictor, "predictor")
    given = {name: torch.from_numpy(array) for name, array in seen[0].items()}
    with torch.no_grad():
        before = graph(given)["embedding"]
        if changed:
            made = torch.Generator().manual_seed(0)
            for weight in graph.weights:
                weight += 0.02 * torch.randn(weight.shape, generator=made) * weight.abs().mean()
        expected = graph(given)["embedding"]
    written = graph.to_onnx()
    arrays = {name: value.numpy() for name, value in given.items()}
    found = open_engine("openvino", threads=1, precision="f32").compile(written, "predictor")(arrays)["embedding"]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-3)
    if changed:
        assert np.abs(found - before.numpy()).max() > 2e-3
    kinds = {node.op_type for node in onnx.load_from_string(written).graph.node}
    assert not kinds & {"QuantizeLinear", "DequantizeLinear"}
    again = GraphModule(written, "predictor")  # so the result can be fine-tuned again
    assert sum(weight.numel() for weight in again.weights) == sum(weight.numel() for weight in graph.weights)


def test_constants_are_not_trained(default_predictor: bytes) -> None:
    graph = GraphModule(default_predictor, "predictor")
    shapes = [tuple(weight.shape) for weight in graph.weights]
    assert (640, 256) in shapes and (384, 256) in shapes and (256,) in shapes
    assert (36, 64) not in shapes and (128, 64) not in shapes  # tables of rotary angles
    assert len(graph.names) == len(set(graph.names))


def test_weights_at_8_bits_are_widened(exported: bytes) -> None:
    widened = GraphModule(store_weights(exported, 8), "predictor")
    whole = GraphModule(exported, "predictor")
    sizes = sorted(tuple(weight.shape) for weight in widened.weights)
    assert sizes == sorted(tuple(weight.shape) for weight in whole.weights)
    assert all(weight.dtype == torch.float32 and weight.requires_grad for weight in widened.weights)
    with torch.no_grad():
        near, exact = widened(example(1))["embedding"], whole(example(1))["embedding"]
    assert cosine(near.numpy(), exact.numpy()) > 0.999


def one_node(node: onnx.NodeProto, weights: Arrays) -> bytes:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph([node], "graph", [x], [y], stored)
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]).SerializeToString())


def test_a_graph_without_weights_is_refused() -> None:
    with pytest.raises(GraphError, match="has no weights to train"):
        GraphModule(one_node(helper.make_node("Relu", ["x"], ["y"]), {}), "empty")


def test_weights_that_are_not_finite_are_not_written() -> None:
    matrix = np.ones((4, 2), np.float32)
    graph = GraphModule(one_node(helper.make_node("MatMul", ["x", "w"], ["y"]), {"w": matrix}), "graph")
    with torch.no_grad():
        graph.weights[0][0, 0] = float("nan")
    with pytest.raises(GraphError, match="weight w is not finite"):
        graph.to_onnx()


def test_a_node_that_fails_is_named() -> None:
    matrix = np.ones((5, 2), np.float32)
    graph = GraphModule(one_node(helper.make_node("MatMul", ["x", "w"], ["y"], "multiply"), {"w": matrix}), "graph")
    with pytest.raises(GraphError, match=r"graph: PyTorch can't run it: MatMul multiply \(float32 \[1, 4\]"):
        graph({"x": torch.ones(1, 4)})
