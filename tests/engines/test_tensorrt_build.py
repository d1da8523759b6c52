"""The builder against stand-ins: what it asks of TensorRT, what it writes, and what it leaves alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.engines.conftest import Machine
from tests.export.quantised import quantised_block
from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.bundle.write import parts_of, write_bundle
from vljepa_edge.engines.tensorrt.store import EngineFolder
from vljepa_edge.errors import EngineError, InputError, QuantizationError
from vljepa_edge.export.tensorrt.profiles import Profiles, Range
from vljepa_edge.model import load
from vljepa_edge.nn.config import VLJepaConfig
from vljepa_edge.onnx_graphs.half import marked_f32


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# --- what is written ---


def test_the_folder_says_what_it_was_built_from_and_for(machine: Machine, toy_opened: Bundle, tmp_path: Path) -> None:
    machine.build.build_engines(toy_opened, tmp_path / "engines")
    written = json.loads((tmp_path / "engines" / "engines.json").read_text())
    assert written["bundle"] == "toy 0"
    assert written["bundle_digest"] == toy_opened.digest
    assert written["platform"] == {
        "gpu": "Fake Orin", "compute_capability": "8.7", "multiprocessors": 16, "tensorrt": "10.3.0",
    }  # fmt: skip
    assert set(written["plans"]) == {graph.file for graph in toy_opened.manifest.graphs.values()}
    for file, plan in written["plans"].items():
        entry = next(graph for graph in toy_opened.manifest.graphs.values() if graph.file == file)
        assert plan["source_sha256"] == entry.sha256
        assert (tmp_path / "engines" / plan["file"]).stat().st_size == plan["bytes"]
    assert written["plans"]["graphs/text.onnx"]["shapes"] == {
        name: [[1, 1], [1, 16], [32, 64]] for name in ("input_ids", "attention_mask")
    }
    assert written["plans"]["graphs/y_decoder.onnx"]["shapes"] == {"ids": [[1, 1], [1, 16], [1, 16]]}
    assert written["plans"]["graphs/x_encoder_motion.onnx"]["shapes"] == {}
    assert EngineFolder.open(tmp_path / "engines").manifest.bundle_digest == toy_opened.digest


def test_building_again_replaces_the_plans(machine: Machine, toy_opened: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "engines"
    machine.build.build_engines(toy_opened, out)
    before = files(out)
    machine.build.build_engines(toy_opened, out, profiles="query=1:8:32")
    after = files(out)
    assert len(before) == len(after)
    changed = {name.partition("-")[0] for name in after if name not in before}
    assert changed == {"predictor"}  # the text graph is also the Y-encoder, which keeps its sizes


def test_a_failed_build_leaves_the_folder_as_it_was(machine: Machine, toy_opened: Bundle, tmp_path: Path) -> None:
    machine.trt.fail.add("build_serialized_network")
    message = (
        r"x_encoder_appearance: TensorRT 10.3.0 can't build it: \[build_serialized_network\] Error Code 4: no luck"
    )
    with pytest.raises(EngineError, match=message):
        machine.build.build_engines(toy_opened, tmp_path / "engines")
    assert not (tmp_path / "engines").exists()
    machine.trt.fail.clear()
    machine.build.build_engines(toy_opened, tmp_path / "engines")
    before = files(tmp_path / "engines")

    def stop(what: str, step: int, steps: int) -> None:
        if what.startswith("predictor"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        machine.build.build_engines(toy_opened, tmp_path / "engines", profiles="batch=1:2:4", report=stop)
    assert files(tmp_path / "engines") == before


def test_something_else_is_left_alone(machine: Machine, toy_opened: Bundle, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"mine")
    with pytest.raises(InputError, match="exists and is no folder of TensorRT engines, so it is left alone"):
        machine.build.build_engines(toy_opened, tmp_path)
    assert files(tmp_path) == {"photo.jpg": b"mine"}


def test_a_user_s_own_plans_and_an_engines_json_of_something_else_are_left_alone(
    machine: Machine, toy_opened: Bundle, tmp_path: Path
) -> None:
    machine.build.build_engines(toy_opened, tmp_path / "engines")
    (tmp_path / "engines" / "mine.plan").write_bytes(b"mine")
    (tmp_path / "engines" / "notes.txt").write_text("mine")
    machine.build.build_engines(toy_opened, tmp_path / "engines")
    assert (tmp_path / "engines" / "mine.plan").read_bytes() == b"mine"
    for name, text in (("cars", '{"engines": ["V8"]}'), ("cut", '{"schema": 1, "bund')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "engines.json").write_text(text)
        (tmp_path / name / "mine.plan").write_bytes(b"mine")
        with pytest.raises(InputError, match="so it is left alone"):
            machine.build.build_engines(toy_opened, tmp_path / name)
        assert (tmp_path / name / "engines.json").read_text() == text
        assert sorted(item.name for item in (tmp_path / name).iterdir()) == ["engines.json", "mine.plan"]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_build_that_fails_leaves_an_empty_folder_or_none_as_it_was(
    is_there: bool, machine: Machine, toy_opened: Bundle, tmp_path: Path
) -> None:
    out = tmp_path / "engines"
    if is_there:
        out.mkdir()

    def stop(what: str, step: int, steps: int) -> None:
        if what.startswith("predictor"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        machine.build.build_engines(toy_opened, out, report=stop)
    assert out.is_dir() == is_there and list(tmp_path.rglob("*.plan")) == []


def test_a_place_that_can_not_be_written_is_said(machine: Machine, toy_opened: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EngineError, match=r"can't be written: Not a directory"):
        machine.build.build_engines(toy_opened, tmp_path / "file" / "engines")


# --- what TensorRT is asked ---


def test_progress_memory_and_timings_reach_tensorrt(machine: Machine, toy_opened: Bundle, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    for _ in range(2):
        machine.build.build_engines(
            toy_opened, tmp_path / "engines", workspace=1 << 20, report=lambda *step: seen.append(step)
        )
    count = len({graph.file for graph in toy_opened.manifest.graphs.values()})
    assert machine.trt.workspaces == [1 << 20] * 2 * count
    assert seen[:2] == [("x_encoder_appearance: Building", 1, 2), ("x_encoder_appearance: Building", 2, 2)]
    assert machine.trt.timings == [b"+" * i for i in range(2 * count)]  # each build begins with what the last one knew


def test_a_folder_for_timings_that_can_not_be_written_ends_no_build(
    machine: Machine,
    toy_opened: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "file" / "cache"))
    machine.build.build_engines(toy_opened, tmp_path / "engines")
    assert "TensorRT's timings can't be kept" in caplog.text
    count = len({graph.file for graph in toy_opened.manifest.graphs.values()})
    assert machine.trt.timings == [b"+" * i for i in range(count)]  # the graphs of one build share them all the same


@pytest.mark.parametrize("refused", [{b"unknown"}, {b"unknown", b""}])
def test_timings_that_tensorrt_refuses_end_no_build(
    refused: set[bytes], machine: Machine, toy_opened: Bundle, tmp_path: Path
) -> None:
    machine.build.build_engines(toy_opened, tmp_path / "engines")
    (kept,) = (tmp_path / "cache" / "tensorrt").iterdir()
    kept.write_bytes(b"unknown")
    machine.trt.timings.clear()
    machine.trt.refused_timings = refused
    machine.build.build_engines(toy_opened, tmp_path / "engines")
    assert machine.trt.timings[:2] == [b"unknown", b""]
    assert (kept.read_bytes() == b"unknown") == (b"" in refused)  # where it takes new ones, they take their place


@pytest.mark.parametrize("field", ["gpu", "compute_capability", "multiprocessors", "tensorrt"])
def test_each_platform_has_timings_of_its_own(
    field: str, machine: Machine, toy_opened: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.build.build_engines(toy_opened, tmp_path / "engines")
    other = machine.engine.this_platform().model_copy(update={field: 12 if field == "multiprocessors" else "8.9"})
    monkeypatch.setattr(machine.build, "this_platform", lambda: other)
    machine.trt.timings.clear()
    machine.build.build_engines(toy_opened, tmp_path / "engines")
    assert machine.trt.timings[0] == b""


def test_graphs_reach_tensorrt_in_fp16_with_their_inputs_as_they_were(machine: Machine, toy_opened: Bundle) -> None:
    model, layers, *_ = machine.build.prepare(toy_opened.read("graphs/predictor.onnx"), "predictor")
    proto = onnx.load_from_string(model)
    given, before = proto.graph, onnx.load_from_string(toy_opened.read("graphs/predictor.onnx")).graph
    assert [value.SerializeToString() for value in given.input] == [v.SerializeToString() for v in before.input]
    kinds = {tensor.data_type for tensor in given.initializer if len(tensor.dims) == 2}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert {layer.kind for layer in layers} == {"float"}


def test_int8_layers_are_counted(machine: Machine, tmp_path: Path) -> None:
    made = machine.build.prepare(quantised_block(tmp_path).SerializeToString(), "block")
    assert sum(layer.kind == "int8" for layer in made.layers) == 6


def test_a_graph_that_is_not_quantised_well_never_reaches_tensorrt(machine: Machine, tmp_path: Path) -> None:
    model = quantised_block(tmp_path)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8 and not tensor.dims:
            tensor.CopyFrom(numpy_helper.from_array(np.int8(5), tensor.name))
    with pytest.raises(QuantizationError, match="is asymmetric: its zero point is 5, not 0"):
        machine.build.prepare(model.SerializeToString(), "block")


def test_what_the_parser_says_is_told(machine: Machine) -> None:
    graph = helper.make_graph([helper.make_node("Unsupported", [], ["y"])], "g", [], [])
    with pytest.raises(EngineError, match=r"odd: TensorRT 10.3.0 can't parse it: no such thing \(node node_7\)"):
        machine.build.parse(helper.make_model(graph).SerializeToString(), "odd")


def test_an_input_that_varies_against_its_manifest_is_refused(machine: Machine, toy_opened: Bundle) -> None:
    model = machine.build.prepare(toy_opened.read("graphs/text.onnx"), "text").model
    with pytest.raises(EngineError, match="text: input input_ids varies, and the bundle's manifest has fixed"):
        machine.build.configure(machine.build.parse(model, "text"), {}, None)


def test_the_builder_needs_no_torch() -> None:
    """All that it imports, but for tensorrt and CUDA themselves."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import vljepa_edge.onnx_graphs.half, vljepa_edge.onnx_graphs.qdq_check, vljepa_edge.engines.tensorrt.store\n"
        "import vljepa_edge.export.tensorrt.profiles"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- what fp16 is too narrow for ---


def with_a_detour(bundle: Bundle, path: Path, factor: float, mark: bool = False) -> Bundle:
    """The same texts' embeddings, by way of numbers that are `factor` squared as large."""
    manifest, contents = parts_of(bundle)
    model = onnx.load_from_string(contents["graphs/text.onnx"])
    scales = {"up": factor, "down": factor**-2}
    for name, scale in scales.items():
        matrix = np.diag(np.full(bundle.manifest.embedding.width, scale, np.float32))
        model.graph.initializer.append(numpy_helper.from_array(matrix, name))
    last = next(node for node in model.graph.node if "embedding" in node.output)
    last.output[list(last.output).index("embedding")] = "way 0"
    for i, name in enumerate(("up", "up", "down")):
        model.graph.node.append(
            helper.make_node("MatMul", [f"way {i}", name], ["embedding" if i == 2 else f"way {i + 1}"])
        )
    changed = model.SerializeToString()
    contents["graphs/text.onnx"] = marked_f32(changed) if mark else changed
    return Bundle.open(write_bundle(path, manifest, contents))


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize("how", ["found", "marked", "asked"])
def test_a_graph_that_overflows_in_fp16_is_built_in_fp32(
    how: str, machine: Machine, toy_opened: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine.trt.strongly_typed = True
    bundle = with_a_detour(toy_opened, tmp_path / "bundle", 3e4, mark=how == "marked")
    folder = machine.build.build_engines(bundle, tmp_path / "engines", f32="y_encoder" if how == "asked" else "")
    assert {file for file, plan in folder.manifest.plans.items() if plan.f32} == {"graphs/text.onnx"}
    assert ("text: built in fp32, as its numbers overflow in fp16" in caplog.text) == (how == "found")
    assert folder.manifest.options == (("--f32", "y_encoder") if how == "asked" else ())
    found, expected = (
        load(path, engine=engine).embed_text(["a red ball", "a blue box"])
        for path, engine in ((tmp_path / "bundle", f"tensorrt:{folder.path}"), (toy_opened.path, "onnxruntime"))
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_a_graph_that_overflows_in_fp32_too_is_refused(machine: Machine, toy_opened: Bundle, tmp_path: Path) -> None:
    machine.trt.strongly_typed = True
    bundle = with_a_detour(toy_opened, tmp_path / "bundle", 1e22)
    with pytest.raises(EngineError, match="text: its numbers are not finite, in fp32 either"):
        machine.build.build_engines(bundle, tmp_path / "engines")
    assert not (tmp_path / "engines").exists()


def test_a_role_for_fp32_that_is_none_is_refused(machine: Machine, toy_opened: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"f32 must name roles of .*y_encoder.*, got 'text'"):
        machine.build.build_engines(toy_opened, tmp_path / "engines", f32="predictor, text")


# --- sizes ---


def test_profiles_cover_all_that_the_runtime_asks_for() -> None:
    manifest = Bundle.open(default_bundle()).manifest
    profiles = Profiles.of(manifest)
    assert profiles.query == Range(1, 16, manifest.text.query_tokens)
    assert profiles.batch == Range(1, 1, 32)
    assert profiles.shapes(manifest, "graphs/predictor.onnx") == {
        "query_tokens": ((1, 1, 384), (1, 16, 384), (1, 64, 384)),
        "query_mask": ((1, 1), (1, 16), (1, 64)),
    }
    assert profiles.shapes(manifest, "graphs/x_encoder_appearance.onnx") == {}


def test_profiles_are_chosen_by_name(toy_opened: Bundle) -> None:
    profiles = Profiles.of(toy_opened.manifest, "query=2:4:8, batch=4:8:16")
    assert (profiles.query, profiles.batch, profiles.decoder) == (Range(2, 4, 8), Range(4, 8, 16), Range(1, 16, 16))
    least, typical, largest = profiles.shapes(toy_opened.manifest, "graphs/text.onnx")["input_ids"]
    assert (least, typical, largest) == ((1, 1), (8, 16), (16, 64))  # of both roles that share the file


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("query=8", r"must be name=least:typical:largest, with one of query, target, decoder, batch"),
        ("tokens=1:2:3", "with one of query, target, decoder, batch"),
        ("query=0:1:2", "must rise, from 1 to at most 64"),
        ("query=4:2:8", "must rise"),
        ("batch=1:1:33", "from 1 to at most 32"),
    ],
)
def test_profiles_that_are_not_allowed(chosen: str, message: str, toy_opened: Bundle) -> None:
    with pytest.raises(InputError, match=message):
        Profiles.of(toy_opened.manifest, chosen)


def test_a_size_that_nothing_bounds_is_refused(toy_opened: Bundle) -> None:
    manifest: dict[str, Any] = toy_opened.manifest.model_dump(mode="json", by_alias=True)
    motion = next(t for t in manifest["graphs"]["predictor"]["inputs"] if t["name"] == "motion")
    motion["shape"][1] = -1
    changed = type(toy_opened.manifest).model_validate_json(json.dumps(manifest))
    with pytest.raises(InputError, match=r"graphs.predictor.motion: nothing in the manifest says how large its axis 1"):
        Profiles.of(changed).shapes(changed, "graphs/predictor.onnx")


def test_a_key_value_cache_begins_empty_and_grows_token_by_token_to_prefix_and_text() -> None:
    manifest = Bundle.open(default_bundle()).manifest
    shapes = Profiles.of(manifest).shapes(manifest, manifest.graphs["y_decoder"].file)
    past = shapes["past"]
    assert shapes["ids"] == ((1, 1), (1, 1), (1, 1))
    tensor = manifest.graphs["y_decoder"].input("past")
    assert tensor is not None
    most = manifest.text.decoder_prefix + manifest.text.decoder_tokens - 1  # the last token is given
    _, rows, _, size = tensor.shape
    assert (past[0], past[2]) == ((1, rows, 0, size), (1, rows, most, size))


# --- plugins ---


def test_a_tensorrt_without_ahead_of_time_plugins_takes_none(machine: Machine) -> None:
    assert not machine.build.can_plug_in(machine.engine.this_platform())


def test_a_graph_that_fails_with_plugins_is_built_without(
    machine: Machine, toy_opened: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def plug(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
        model.graph.node.append(helper.make_node("Unsupported", [], ["y"]))
        return model, 1

    monkeypatch.setattr(machine.build, "can_plug_in", lambda here: True)
    monkeypatch.setattr(machine.build, "to_plugins", plug)
    folder = machine.build.build_engines(toy_opened, tmp_path / "engines")
    assert {plan.plugins for plan in folder.manifest.plans.values()} == {0}
    assert "predictor: built without plugins, as it fails with them: predictor: TensorRT 10.3.0 can't" in caplog.text


@pytest.mark.parametrize("wanted", [True, False])
def test_the_folder_says_how_many_plugins_each_plan_has(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    monkeypatch.setattr(machine.build, "can_plug_in", lambda here: True)
    monkeypatch.setattr(machine.engine.Device, "load", lambda *given: lambda inputs: {})  # the stand-in runs no plugins
    bundle = Bundle.open(default_bundle())
    machine.build.build_engines(bundle, tmp_path / "engines", plugins=wanted)
    plans = EngineFolder.open(tmp_path / "engines").manifest.plans
    each = 4 * VLJepaConfig.tiny().predictor.stack.layers  # attention and the rotation of its keys, in two passes
    assert {file: plan.plugins for file, plan in plans.items() if plan.plugins} == (
        {"graphs/predictor.onnx": each} if wanted else {}
    )


@pytest.mark.parametrize(
    ("changed", "usable"),
    [({}, True), ({"capability": "7.5"}, False), ({"triton": False}, False), ({"plugin": False}, False)],
)
def test_plugins_need_tensorrt_triton_and_a_gpu_with_tiles(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], usable: bool
) -> None:
    from vljepa_edge.kernels.tools import aot

    machine.trt.QuickPluginCreationRequest = object()  # type: ignore[attr-defined]
    monkeypatch.setattr(aot, "HAS_TRITON", changed.get("triton", True))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    module = ModuleType("plugin") if changed.get("plugin", True) else None
    monkeypatch.setitem(sys.modules, "vljepa_edge.kernels.tensorrt.plugin", module)  # type: ignore[arg-type]
    here = machine.engine.this_platform().model_copy(
        update={"compute_capability": changed.get("capability", "8.7"), "tensorrt": "10.16.1"}
    )
    assert machine.build.can_plug_in(here) == usable
