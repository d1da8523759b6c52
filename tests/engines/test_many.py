"""Several calls at once give what each gives alone, whatever the graph, and run together where that is possible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle.manifest import GraphEntry
from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.engines import compile_all, open_engine
from vljepa_edge.engines.base import run_many
from vljepa_edge.errors import EngineError

Call = dict[str, NDArray[Any]]
VISION = ("appearance", "motion")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.open(write_toy_bundle(tmp_path_factory.mktemp("many") / "toy.vljepa"))


def call(entry: GraphEntry, rng: np.random.Generator, free: int = 3) -> Call:
    """Something that a graph takes, with so many of what it takes any number of."""
    made: Call = {}
    for tensor in entry.inputs:
        shape = [size if size > 0 else 1 if place == 0 else free for place, size in enumerate(tensor.shape)]
        if tensor.dtype == "float32":
            made[tensor.name] = rng.standard_normal(shape).astype(np.float32)
        else:
            kind = np.dtype(tensor.dtype)
            made[tensor.name] = rng.integers(1, 2 if "mask" in tensor.name else 15, shape).astype(kind)
    return made


def check(graph: Any, engine: Any, calls: list[Call], once: tuple[str, ...] = ()) -> int:
    """Compare with the calls one by one, before and after the graphs for several are made; how many runs it took."""
    alone = [graph(each) for each in calls]
    for _ in range(3):  # which rows are wanted shows only when the parts of a cut graph are there
        found = run_many(graph, calls, once)
        for one, other in zip(found, alone, strict=True):
            assert one.keys() == other.keys()
            for name in one:
                assert one[name].shape == other[name].shape and one[name].dtype == other[name].dtype
                np.testing.assert_allclose(one[name], other[name], atol=1e-5, rtol=1e-5)
        engine.settle()
    arrays = [next(iter(each.values())) for each in found]
    return len({id(array if array.base is None else array.base) for array in arrays})  # rows of a run are views of it


@pytest.mark.parametrize("role", ["x_encoder_appearance", "x_encoder_motion", "predictor", "y_decoder"])
def test_calls_of_the_same_shapes_run_together(toy: Bundle, role: str) -> None:
    engine = open_engine("openvino", threads=1, precision="f32")
    graph, rng = compile_all(engine, toy)[role], np.random.default_rng(0)
    for count, runs in ((2, 1), (3, 1), (4, 1), (7, 2)):
        assert check(graph, engine, [call(toy.manifest.graphs[role], rng) for _ in range(count)]) == runs


def test_what_does_not_depend_on_the_query_is_computed_once_for_each_window(toy: Bundle) -> None:
    engine = open_engine("openvino", threads=1, precision="f32")
    graph, rng = compile_all(engine, toy)["predictor"], np.random.default_rng(0)
    windows = [call(toy.manifest.graphs["predictor"], rng) for _ in range(2)]
    asked = [call(toy.manifest.graphs["predictor"], rng, free) for free in (3, 5, 3, 5, 3)]
    calls = [each | {name: windows[i % 2][name] for name in VISION} for i, each in enumerate(asked)]
    assert check(graph, engine, calls, VISION) == 2  # one for each length


def test_a_graph_in_which_rows_meet_is_not_given_several(tmp_path: Path) -> None:
    def tensor(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4])

    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Add", ["x", "mean"], ["y"]),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "meeting", [tensor("x")], [tensor("y")]),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
    )  # fmt: skip
    onnx.checker.check_model(model)
    engine, rng = open_engine("openvino", threads=1, precision="f32"), np.random.default_rng(0)
    graph = engine.compile(model.SerializeToString(), "meeting")
    calls: list[Call] = [{"x": rng.standard_normal((1, 4)).astype(np.float32)} for _ in range(4)]
    assert check(graph, engine, calls) == 4


def test_a_call_that_is_wrong_is_told_of(toy: Bundle) -> None:
    engine = open_engine("openvino", threads=1, precision="f32")
    graph, rng = compile_all(engine, toy)["x_encoder_motion"], np.random.default_rng(0)
    calls = [call(toy.manifest.graphs["x_encoder_motion"], rng) for _ in range(2)]
    with pytest.raises(EngineError, match="input luma is missing"):
        run_many(graph, [calls[0], {}])


@pytest.mark.parametrize("name", ["onnxruntime", "torch"])
def test_engines_that_take_one_call_at_a_time_are_asked_one_by_one(toy: Bundle, name: str) -> None:
    graph, rng = compile_all(open_engine(name, threads=1), toy)["predictor"], np.random.default_rng(0)
    calls = [call(toy.manifest.graphs["predictor"], rng) for _ in range(3)]
    for one, other in zip(run_many(graph, calls, VISION), [graph(each) for each in calls], strict=True):
        np.testing.assert_array_equal(one["embedding"], other["embedding"])


@pytest.mark.slow
def test_the_default_bundle_gives_the_same_bits_together() -> None:
    bundle = Bundle.open(default_bundle())
    engine = open_engine("openvino", threads=1, precision="f32")
    shared = {"x_encoder_appearance": (), "x_encoder_motion": (), "predictor": VISION, "y_decoder": ()}
    graphs, rng = compile_all(engine, bundle, shared), np.random.default_rng(0)
    for role, once in shared.items():
        calls = [call(bundle.manifest.graphs[role], rng) for _ in range(4)]
        if once:
            calls = [each | {name: calls[i // 2][name] for name in once} for i, each in enumerate(calls)]
        alone = [graphs[role](each) for each in calls]
        assert check(graphs[role], engine, calls, once) == 1
        for one, other in zip(run_many(graphs[role], calls, once), alone, strict=True):
            for name in one:
                np.testing.assert_array_equal(one[name], other[name], err_msg=role)
