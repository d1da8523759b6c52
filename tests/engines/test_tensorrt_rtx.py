"""Real parsing and building, without a GPU, by TensorRT for RTX: the same API and the same kind of compiler.

What it makes runs on desktop cards only, and is no Jetson engine: it is asked whether our networks parse and build,
and whether int8 reaches the kernels; the control is always built too. What `vljepa export` writes is asked the same in
tests/export/test_int8_bundle.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.engines.rtx import int8_pointers, plan, rtx_builder
from tests.export.quantised import quantise, quantised_block, transformer, with_plain_weights
from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.errors import EngineError
from vljepa_edge.export.tensorrt.profiles import Profiles, Shapes

pytestmark = pytest.mark.slow
ARCHITECTURES = ("SM86", "SM89", "SM120")
BLOCK: Shapes = {"tokens": ((1, 1, 64), (1, 12, 64), (1, 32, 64))}


@pytest.fixture(scope="module")
def build() -> Iterator[ModuleType]:
    with rtx_builder() as module:
        yield module


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return quantised_block(tmp_path_factory.mktemp("block")).SerializeToString()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_int8_transformer_builds_with_int8_kernels(architecture: str, build: ModuleType, block: bytes) -> None:
    made = plan(build, block, BLOCK, architecture)
    assert int8_pointers(made) > 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_float_control_builds_without_any(architecture: str, build: ModuleType) -> None:
    made = plan(build, transformer().SerializeToString(), BLOCK, architecture)
    assert len(made) > 10_000
    assert int8_pointers(made) == 0


@pytest.fixture(scope="module")
def default() -> Bundle:
    return Bundle.open(default_bundle())


def calibration(bundle: Bundle, seed: int, length: int) -> dict[str, Any]:
    """Random inputs of the predictor, in the shapes of its manifest."""
    rng = np.random.default_rng(seed)
    inputs = {}
    for tensor in bundle.manifest.graphs["predictor"].inputs:
        shape = [length if size < 0 else size for size in tensor.shape]
        inputs[tensor.name] = (
            np.ones(shape, np.int64) if tensor.dtype == "int64" else rng.normal(size=shape).astype("f4")
        )
    return inputs


def test_the_default_predictor_builds_in_int8(build: ModuleType, default: Bundle, tmp_path: Path) -> None:
    stored = onnx.load_from_string(default.read("graphs/predictor.onnx"))
    if any(node.op_type == "QuantizeLinear" for node in stored.graph.node):
        model = stored
    else:
        model = quantise(with_plain_weights(stored), (calibration(default, i, 3 + 4 * i) for i in range(3)), tmp_path)
    shapes = Profiles.of(default.manifest).shapes(default.manifest, "graphs/predictor.onnx")
    assert int8_pointers(plan(build, model.SerializeToString(), shapes, "SM86")) > 20


@pytest.mark.parametrize("role", ["x_encoder_appearance", "x_encoder_motion", "y_encoder", "predictor", "y_decoder"])
def test_each_graph_of_the_default_bundle_builds(role: str, build: ModuleType, default: Bundle) -> None:
    file = default.manifest.graphs[role].file
    shapes = Profiles.of(default.manifest).shapes(default.manifest, file)
    assert len(plan(build, default.read(file), shapes, "SM86")) > 100_000


# --- what TensorRT itself refuses, when our own check is passed by ---


def constants(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in model.graph.initializer}


def test_a_zero_point_is_refused_by_the_parser_too(build: ModuleType, block: bytes) -> None:
    model = onnx.load_from_string(block)
    node = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    constants(model)[node.input[2]].CopyFrom(numpy_helper.from_array(np.int8(5), node.input[2]))
    with pytest.raises(EngineError, match="can't parse it"):
        build.parse(model.SerializeToString(), "block")


def test_a_missing_scale_is_refused_by_the_parser_too(build: ModuleType, block: bytes) -> None:
    model = onnx.load_from_string(block)
    node = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    model.graph.initializer.remove(constants(model)[node.input[1]])
    with pytest.raises(EngineError, match="can't parse it"):
        build.parse(model.SerializeToString(), "block")


def test_pixels_are_why_graphs_are_prepared(build: ModuleType, default: Bundle) -> None:
    """As stored, the frame graph moves uint8 before it casts it, which no TensorRT takes."""
    with pytest.raises(EngineError, match=r"can't parse it: .*UInt8"):
        build.parse(default.read(default.manifest.graphs["x_encoder_appearance"].file), "x_encoder_appearance")


def test_ctrl_c_stops_a_build(build: ModuleType, block: bytes) -> None:
    def stop(what: str, step: int, steps: int) -> None:
        raise KeyboardInterrupt

    network = build.parse(build.prepare(block, "block").model, "block")
    config = build.configure(network, BLOCK, None)
    config.num_compute_capabilities = 1
    config.set_compute_capability(build.trt.ComputeCapability.SM86, 0)
    with pytest.raises(KeyboardInterrupt):
        build.serialize(network, config, stop)
