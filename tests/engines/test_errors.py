"""What an engine can't do is said in one line that names the graph, what was given, and what is allowed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.engines import available, compile_all, open_engine
from vljepa_edge.engines.base import Graph
from vljepa_edge.errors import EngineError, InputError
from vljepa_edge.support.install import install_extra

NAMES = ["openvino", "onnxruntime", "torch"]
IDS = np.ones((1, 4), np.int64)


@pytest.fixture(scope="module", params=NAMES)
def text(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    bundle = Bundle.open(write_toy_bundle(tmp_path_factory.mktemp("toy") / "toy"))
    return open_engine(request.param).compile(bundle.read("graphs/text.onnx"), "text")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"input_ids": IDS}, r"text: input attention_mask is missing; expected int64 \[d0, d1\]"),
        ({"input_ids": IDS, "mask": IDS}, r"text: input attention_mask is missing"),
        ({"input_ids": IDS, "attention_mask": IDS, "token_type_ids": IDS}, r"text: has no input token_type_ids"),
        ({"input_ids": IDS.astype(np.int32), "attention_mask": IDS}, r"input_ids is int32 \[1, 4\]; expected int64"),
        ({"input_ids": IDS[0], "attention_mask": IDS}, r"input_ids is int64 \[4\]; expected int64 \[d0, d1\]"),
        ({"input_ids": [[1]], "attention_mask": IDS}, r"input_ids is a list; expected int64"),
        (
            {"input_ids": IDS, "attention_mask": IDS[:, :3]},
            r"attention_mask is int64 \[1, 3\]; expected int64 \[d0, d1\] where d0 = 1, d1 = 4",
        ),
    ],
)
def test_wrong_inputs(inputs: dict[str, Any], message: str, text: Graph) -> None:
    with pytest.raises(EngineError, match=message):
        text(inputs)
    assert np.isfinite(text({"input_ids": IDS, "attention_mask": IDS})["embedding"]).all()


@pytest.mark.parametrize("name", ["onnxruntime", "torch"])  # OpenVINO's Gather gives zeros, by its specification
def test_an_id_outside_the_table(name: str, tmp_path: Path) -> None:
    bundle = Bundle.open(write_toy_bundle(tmp_path / "toy"))
    graph = open_engine(name).compile(bundle.read("graphs/text.onnx"), "text")
    with pytest.raises(
        EngineError, match=r"text: .* failed: .*Gather.* given input_ids int64 \[1, 4\], attention_mask"
    ):
        graph({"input_ids": IDS + 10**6, "attention_mask": IDS})


def anonymous_sum() -> bytes:
    """x + y, [?, 2] each, and nothing says that the two ? are one."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in "xyz"]
    nodes = [helper.make_node("Exp", ["x"], ["e"]), helper.make_node("Add", ["e", "y"], ["z"])]
    graph = helper.make_graph(nodes, "g", values[:2], values[2:])
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_works_on_after_a_run_that_failed(name: str) -> None:
    graph = open_engine(name, precision="f32").compile(anonymous_sum(), "sum")
    for rows in (4, 4, 7, 4):
        with pytest.raises(EngineError, match=r"sum: .* failed: .*given x float32 \[\d, 2\], y float32 \[3, 2\]"):
            graph({"x": np.ones((rows, 2), np.float32), "y": np.ones((3, 2), np.float32)})
        x = np.full((rows, 2), rows, np.float32)
        np.testing.assert_allclose(graph({"x": x, "y": x})["z"], np.exp(x) + x, rtol=1e-5)


def test_a_frame_of_another_size(tmp_path: Path) -> None:
    graphs = compile_all(open_engine("openvino"), Bundle.open(write_toy_bundle(tmp_path / "toy")))
    with pytest.raises(
        EngineError, match=r"x_encoder_appearance: input frame is uint8 \[1, 31, 32, 3\]; expected uint8"
    ):
        graphs["x_encoder_appearance"]({"frame": np.zeros((1, 31, 32, 3), np.uint8)})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "tensorflow"}, "must be one of openvino, onnxruntime, torch"),
        ({"precision": "int4"}, "must be one of auto, f32, bf16, f16"),
        ({"threads": 0}, "1 to 1024"),
        ({"threads": -2}, "1 to 1024"),
    ],
)
def test_arguments_that_no_engine_takes(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_engine(**arguments)


@pytest.mark.parametrize("name", ["onnxruntime", "torch"])
@pytest.mark.parametrize("precision", ["bf16", "f16"])
def test_a_precision_that_an_engine_lacks_is_not_ignored(name: str, precision: Any) -> None:
    with pytest.raises(EngineError, match="precision must be auto or f32"):
        open_engine(name, precision=precision)


@pytest.mark.parametrize(
    ("capabilities", "auto", "refused"),
    [(["FP32", "BF16"], "bf16", ["f16"]), (["FP32"], "f32", ["bf16", "f16"]), (["FP32", "FP16"], "f32", ["bf16"])],
)
def test_openvino_takes_the_precisions_that_the_cpu_has(
    capabilities: list[str], auto: str, refused: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Core:
        def get_property(self, device: str, name: str) -> list[str] | str:
            assert device == "CPU"
            return {"OPTIMIZATION_CAPABILITIES": capabilities, "FULL_DEVICE_NAME": "a processor"}[name]

    monkeypatch.setattr("vljepa_edge.engines.openvino.shared_core", Core)
    assert open_engine("openvino").precision == auto
    assert open_engine("openvino", precision="f32").precision == "f32"
    for precision in refused:
        with pytest.raises(EngineError, match=f"no {precision} arithmetic; precision must be one of auto"):
            open_engine("openvino", precision=precision)


def test_all_engines_are_available_where_these_tests_run() -> None:
    found = available()
    assert {name: found.pop(name) for name in NAMES} == dict.fromkeys(NAMES)
    assert set(found) == {"tensorrt"}  # a GPU's: there, or told how to get it
    assert found["tensorrt"] is None or found["tensorrt"].endswith(f"; to fix it, run: {install_extra('tensorrt')}")


@pytest.mark.parametrize(
    ("module", "name", "command"),
    [
        ("torch", "torch", "pip install torch onnx"),
        ("onnx", "torch", "pip install torch onnx"),
        ("onnxruntime", "onnxruntime", "pip install onnxruntime"),
        ("openvino", "openvino", "pip install openvino"),
    ],
)
def test_a_missing_package_is_named_with_its_command(module: str, name: str, command: str) -> None:
    program = f"""
import sys
sys.modules[{module!r}] = None  # makes its import fail
from vljepa_edge.engines import available, open_engine
from vljepa_edge.errors import EngineError
try:
    open_engine({name!r})
except EngineError as error:
    assert {command!r} in str(error), error
else:
    raise AssertionError("opened")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_default_engine_imports_no_torch(tmp_path: Path) -> None:
    path = write_toy_bundle(tmp_path / "toy")
    program = f"""
import sys
sys.modules.update(torch=None, onnx=None, onnxruntime=None)
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.engines import compile_all, open_engine
assert len(compile_all(open_engine(), Bundle.open({str(path)!r}))) == 6
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def unknown(op: str, domain: str = "") -> bytes:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"], domain=domain)], "g", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.example", 1)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


@pytest.mark.parametrize(("op", "domain"), [("Det", ""), ("Relu", "com.example"), ("NoSuchOp", "")])
def test_torch_names_the_operation_that_it_does_not_know(op: str, domain: str) -> None:
    with pytest.raises(EngineError, match=f"motion: the torch engine does not know .*{op}"):
        open_engine("torch").compile(unknown(op, domain), "motion")


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_other_engines_say_so_too(name: str) -> None:
    with pytest.raises(EngineError, match=r"motion: .*NoSuchOp"):
        open_engine(name).compile(unknown("NoSuchOp"), "motion")


def test_torch_refuses_opsets_whose_operations_meant_something_else() -> None:
    model = onnx.load_model_from_string(unknown("Relu"))
    model.opset_import[0].version = 11
    with pytest.raises(EngineError, match="opset is 11; use 13 or newer"):
        open_engine("torch").compile(model.SerializeToString(), "motion")


@pytest.mark.parametrize("name", NAMES)
def test_an_input_that_no_node_uses_is_still_an_input(name: str) -> None:
    model = onnx.load_model_from_string(unknown("Relu"))
    model.graph.input.append(helper.make_tensor_value_info("spare", TensorProto.INT64, [1]))
    graph = open_engine(name).compile(model.SerializeToString(), "motion")
    assert graph.inputs == ("x", "spare")
    given = graph({"x": np.array([-1, 2], np.float32), "spare": np.zeros(1, np.int64)})
    np.testing.assert_array_equal(given["y"], [0, 2])


@pytest.mark.parametrize("name", NAMES)
def test_an_output_may_be_an_input_or_named_twice(name: str) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["r"])]
    nodes += [helper.make_node("Identity", [source], [out]) for source, out in (("r", "a"), ("r", "b"), ("x", "same"))]
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "a", "b", "same", "r")
    }
    outputs = [values[name] for name in ("b", "same", "r", "a")]
    graph = helper.make_graph(nodes, "g", [values["x"]], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    compiled = open_engine(name).compile(model, "g")
    assert compiled.outputs == ("b", "same", "r", "a")
    x = np.array([-1, 2], np.float32)
    given = compiled({"x": x})
    given["same"] += 5
    given["a"] += 5
    np.testing.assert_array_equal(x, [-1, 2])
    np.testing.assert_array_equal(given["r"], [0, 2])
    np.testing.assert_array_equal(given["b"], [0, 2])
