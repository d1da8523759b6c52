"""The TensorRT engine against stand-ins that keep TensorRT's and CUDA's rules and compute with ONNX Runtime.

What is proven here is the engine's own logic: buffers, shapes, recordings, lifetimes, errors. Not that a GPU agrees.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines import test_tensorrt_hardware as hardware
from tests.engines.chain import cosine, run_chain, smooth_frames
from tests.engines.conftest import Machine
from tests.engines.fake_cuda import Status
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.engines import Graph, compile_all, open_engine
from vljepa_edge.errors import EngineError, InputError
from vljepa_edge.model import load
from vljepa_edge.perception.text import greedy
from vljepa_edge.support.install import pip_install

QUERY = "What is moving?"


@pytest.fixture
def engines(machine: Machine, toy_opened: Bundle, tmp_path: Path) -> Path:
    machine.build.build_engines(toy_opened, tmp_path / "engines")
    return tmp_path / "engines"


@pytest.fixture
def graphs(machine: Machine, engines: Path, toy_opened: Bundle) -> Iterator[dict[str, Graph]]:
    return compile_all(open_engine(f"tensorrt:{engines}"), toy_opened)


def ids(rows: int, length: int, seed: int = 0) -> dict[str, NDArray[np.int64]]:
    values = np.random.default_rng(seed).integers(0, 200, (rows, length))
    return {"input_ids": values, "attention_mask": np.ones_like(values)}


# --- answers ---


@pytest.mark.parametrize("kind", ["toy_opened", "vjepa_toy"])
def test_a_bundle_runs_as_on_onnxruntime(
    kind: str, machine: Machine, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    bundle: Bundle = request.getfixturevalue(kind)
    machine.build.build_engines(bundle, tmp_path / "engines")
    graphs = compile_all(open_engine(f"tensorrt:{tmp_path / 'engines'}"), bundle)
    reference = compile_all(open_engine("onnxruntime"), bundle)
    for seed in range(4):  # from the second on each frame and query comes out of recordings
        frames = smooth_frames(bundle, seed)
        given, expected = (run_chain(made, bundle, frames, QUERY) for made in (graphs, reference))
        assert {key: cosine(given[key], expected[key]) >= 0.998 for key in expected} == dict.fromkeys(expected, True)
        assert given["predictor"].dtype == np.float32
    assert machine.cuda.calls["cudaGraphLaunch"] > 0


def test_a_model_streams_and_reads_texts_out(machine: Machine, engines: Path, toy: Path) -> None:
    model, reference = load(toy, engine=f"tensorrt:{engines}"), load(toy, engine="onnxruntime")
    frames = smooth_frames(model.bundle, 3)
    source = [(frame, i / 4) for i, frame in enumerate(frames)]
    assert cosine(model.embed_video(source, QUERY), reference.embed_video(source, QUERY)) >= 0.998
    texts = [f"a {word} ball moves left" for word in ("red", "green", "blue", "very small", "still")]
    assert cosine(model.embed_text(texts), reference.embed_text(texts)) >= 0.998
    assert model.decode_text(reference.embed_text(texts)[0]) == reference.decode_text(reference.embed_text(texts)[0])
    assert repr(model) == "Model(toy 0, tensorrt)"


def test_what_is_to_run_on_a_gpu_runs_on_stand_ins(machine: Machine, toy_opened: Bundle, tmp_path: Path) -> None:
    engines = hardware.build(toy_opened, tmp_path / "engines")
    hardware.test_the_default_bundle_agrees_with_onnxruntime(toy_opened, engines)
    hardware.test_recordings_give_what_plain_runs_give(toy_opened, engines)


# --- buffers and recordings ---


def test_nothing_is_allocated_on_the_device_while_a_known_shape_runs(
    machine: Machine, graphs: dict[str, Graph]
) -> None:
    graph, calls = graphs["query"], machine.cuda.calls
    for _ in range(2):
        graph(ids(1, 7))
    before = {name: calls[name] for name in ("cudaMalloc", "cudaHostAlloc", "cudaStreamBeginCapture")}
    contexts = machine.trt.contexts
    for seed in range(20):
        graph(ids(1, 7, seed))
    assert {name: calls[name] for name in before} == before
    assert machine.trt.contexts == contexts
    assert calls["cudaGraphLaunch"] == 20


def test_another_shape_that_comes_once_costs_no_recording(machine: Machine, graphs: dict[str, Graph]) -> None:
    for length in range(1, 40):
        graphs["query"](ids(1, length))
    assert machine.cuda.calls["cudaStreamBeginCapture"] == 0
    graphs["query"](ids(1, 39))
    assert machine.cuda.calls["cudaStreamBeginCapture"] == 1


def test_each_shape_has_a_recording_of_its_own(machine: Machine, graphs: dict[str, Graph], toy: Path) -> None:
    reference = compile_all(open_engine("onnxruntime"), Bundle.open(toy))["query"]
    shapes = [(1, 5), (3, 9), (1, 6)]
    for seed in range(5):
        for shape in shapes:
            asked = ids(*shape, seed)
            given, expected = graphs["query"](asked), reference(asked)
            for name, value in expected.items():
                assert given[name].shape == value.shape
                assert cosine(given[name], value) >= 0.9999
    assert machine.cuda.calls["cudaStreamBeginCapture"] == len(shapes)
    assert machine.cuda.calls["cudaGraphLaunch"] == 3 * len(shapes)


def test_recordings_beyond_the_limit_are_given_back(machine: Machine, graphs: dict[str, Graph]) -> None:
    limit = 16  # of the 64 lengths
    for shape in [*((1, length) for length in range(1, limit + 1)), *((2, length) for length in range(1, 6))]:
        for _ in range(2):
            graphs["query"](ids(*shape))
    gc.collect()
    made, freed = (machine.cuda.calls[name] for name in ("cudaGraphInstantiate", "cudaGraphExecDestroy"))
    assert made == limit + 5 and made - freed == limit


def test_more_shapes_in_turn_than_are_kept_are_not_recorded_over_and_over(
    machine: Machine, graphs: dict[str, Graph]
) -> None:
    for _ in range(2):
        graphs["query"](ids(1, 64))
    contexts = machine.trt.contexts
    for _ in range(3):
        for length in range(1, 18):
            graphs["query"](ids(1, length))
    graphs["query"](ids(1, 64))  # shapes that came once take no place of a recording
    assert machine.trt.contexts == contexts
    assert (machine.cuda.calls["cudaStreamBeginCapture"], machine.cuda.calls["cudaGraphLaunch"]) == (1, 1)


def test_a_text_that_grows_through_all_lengths_comes_out_of_recordings(
    machine: Machine, engines: Path, toy_opened: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.engine, "_RECORDED", 4)
    entry = toy_opened.manifest.graphs["y_decoder"]
    decoder = open_engine(f"tensorrt:{engines}").compile(toy_opened.read(entry.file), "y_decoder")
    embedding = np.eye(1, toy_opened.manifest.embedding.width, dtype=np.float32)
    for _ in range(3):
        machine.cuda.calls.clear()
        for length in range(1, 17):
            decoder({"embedding": embedding, "ids": np.ones((1, length), np.int64)})
    assert machine.cuda.calls["cudaGraphLaunch"] == 16


def test_a_cache_that_grows_through_all_lengths_comes_out_of_recordings(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.engine, "_RECORDED", 4)
    bundle = Bundle.open(default_bundle())
    machine.build.build_engines(bundle, tmp_path / "engines", profiles="decoder=1:4:8")
    entry, text = bundle.manifest.graphs["y_decoder"], bundle.manifest.text
    decoder = open_engine(f"tensorrt:{tmp_path / 'engines'}").compile(bundle.read(entry.file), "y_decoder")
    for _ in range(3):
        machine.cuda.calls.clear()
        said = greedy(
            decoder,
            entry,
            text.model_copy(update={"decoder_end": -1, "decoder_tokens": 8}),
            np.eye(1, bundle.manifest.embedding.width, dtype=np.float32),
        )
    assert machine.cuda.calls["cudaGraphLaunch"] == len(said)


def test_a_graph_of_one_shape_needs_one_context(machine: Machine, graphs: dict[str, Graph]) -> None:
    contexts = machine.trt.contexts
    for _ in range(3):
        graphs["x_encoder_appearance"]({"frame": np.zeros((1, 32, 32, 3), np.uint8)})
    assert machine.cuda.calls["cudaGraphLaunch"] == 1
    assert machine.trt.contexts == contexts


def test_an_engine_that_can_not_be_recorded_runs_without(
    machine: Machine, graphs: dict[str, Graph], caplog: pytest.LogCaptureFixture
) -> None:
    machine.trt.fail.add("capture")
    first = graphs["query"](ids(1, 7))
    for _ in range(4):
        for name, value in graphs["query"](ids(1, 7)).items():
            np.testing.assert_array_equal(value, first[name])
    assert machine.cuda.calls["cudaStreamBeginCapture"] == 1
    assert machine.cuda.calls["cudaGraphLaunch"] == 0
    assert "new shapes run without a CUDA graph" in caplog.text and "capture invalidated" in caplog.text


def test_ctrl_c_while_recording_leaves_a_graph_that_works(
    machine: Machine, graphs: dict[str, Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(graph: object, flags: int) -> None:
        raise KeyboardInterrupt

    first = graphs["query"](ids(1, 7))
    with monkeypatch.context() as patch:
        patch.setattr(machine.cuda, "cudaGraphInstantiate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            graphs["query"](ids(1, 7))
    for _ in range(2):
        np.testing.assert_array_equal(graphs["query"](ids(1, 7))["embedding"], first["embedding"])
    assert machine.cuda.calls["cudaGraphLaunch"] == 1


def test_everything_is_given_back_with_the_model(machine: Machine, engines: Path, toy: Path) -> None:
    model = load(toy, engine=f"tensorrt:{engines}")
    for _ in range(3):
        model.embed_text(["a red ball"])
    assert machine.cuda.live
    del model
    gc.collect()
    assert machine.cuda.live == {}


def test_no_memory_is_kept_when_there_is_too_little(machine: Machine, engines: Path, toy: Path) -> None:
    machine.cuda.fail["cudaHostAlloc"] = Status.OUT_OF_MEMORY
    with pytest.raises(
        EngineError, match=r"TensorRT can't compile it: CUDA: cudaHostAlloc failed: out of memory \(2\)"
    ):
        load(toy, engine=f"tensorrt:{engines}")
    gc.collect()
    assert machine.cuda.live == {}


def test_outputs_are_the_callers_and_inputs_stay_as_they_were(graphs: dict[str, Graph]) -> None:
    frame = np.full((1, 32, 32, 3), 50, np.uint8)
    for _ in range(3):  # plain, recorded, launched
        first = graphs["x_encoder_appearance"]({"frame": frame})
        kept = {name: value.copy() for name, value in first.items()}
        graphs["x_encoder_appearance"]({"frame": frame + 100})
        for name, value in first.items():
            np.testing.assert_array_equal(value, kept[name])
            value += 1
    assert (frame == 50).all()


def test_many_threads_get_what_one_gets(graphs: dict[str, Graph]) -> None:
    asked = [ids(1 + i % 3, 2 + i % 5, i) for i in range(100)]
    alone = [graphs["y_encoder"](inputs)["embedding"] for inputs in asked]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda inputs: graphs["y_encoder"](inputs)["embedding"], asked))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_strided_and_read_only_frames_are_fine(graphs: dict[str, Graph]) -> None:
    frame = np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3), np.uint8)
    expected = graphs["x_encoder_appearance"]({"frame": frame})
    for same in (frame[..., ::-1].copy()[..., ::-1], np.frombuffer(frame.tobytes(), np.uint8).reshape(frame.shape)):
        for name, value in graphs["x_encoder_appearance"]({"frame": same}).items():
            np.testing.assert_array_equal(value, expected[name])


# --- what can't be run ---


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"input_ids": ids(1, 4)["input_ids"]}, r"text: input attention_mask is missing; expected int64 \[d0, d1\]"),
        ({**ids(1, 4), "more": np.zeros(1)}, "text: has no input more"),
        (
            {**ids(1, 4), "attention_mask": np.ones((1, 3), np.int64)},
            r"attention_mask is int64 \[1, 3\]; expected int64 \[d0, d1\] where d0 = 1, d1 = 4",
        ),
        (ids(1, 65), r"text: input input_ids is int64 \[1, 65\]; the engine was built for \[1, 1\] to \[32, 64\]"),
        (ids(33, 2), r"built for \[1, 1\] to \[32, 64\]: build it with other --profiles"),
    ],
)
def test_wrong_inputs(inputs: dict[str, Any], message: str, graphs: dict[str, Graph]) -> None:
    with pytest.raises(EngineError, match=message):
        graphs["query"](inputs)
    assert np.isfinite(graphs["query"](ids(1, 4))["embedding"]).all()


@pytest.mark.parametrize("method", ["create_execution_context", "set_tensor_address"])
def test_without_memory_for_another_context_what_is_recorded_stays_and_new_shapes_run_plainly(
    method: str, machine: Machine, graphs: dict[str, Graph], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        graphs["query"](ids(1, 7))
    machine.trt.fail.add(method)
    for _ in range(3):
        assert np.isfinite(graphs["query"](ids(1, 4))["embedding"]).all()
    graphs["query"](ids(1, 7))
    assert machine.cuda.calls["cudaGraphLaunch"] == 1
    assert caplog.text.count("text: new shapes run without a CUDA graph: ") == 1


@pytest.mark.parametrize("method", ["execute_async_v3", "set_input_shape"])
def test_a_run_that_fails_says_what_was_given_and_the_next_one_works(
    method: str, machine: Machine, graphs: dict[str, Graph]
) -> None:
    graphs["query"](ids(1, 4))
    machine.trt.fail.add(method)
    with pytest.raises(
        EngineError, match=rf"text: TensorRT failed: \[{method}\] Error Code 4: no luck \(today\); given"
    ):
        graphs["query"](ids(1, 4))
    machine.trt.fail.clear()
    assert np.isfinite(graphs["query"](ids(1, 4))["embedding"]).all()


def test_a_failure_of_the_device_is_told(machine: Machine, graphs: dict[str, Graph]) -> None:
    machine.cuda.fail["cudaStreamSynchronize"] = Status.OUT_OF_MEMORY
    with pytest.raises(
        EngineError, match=r"text: TensorRT failed: CUDA: cudaStreamSynchronize failed: .*; given input_ids"
    ):
        graphs["query"](ids(1, 4))


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("deserialize_cuda_engine", r"TensorRT can't compile it: \[deserialize_cuda_engine\] Error Code 4"),
        ("create_execution_context", r"TensorRT can't compile it: \[create_execution_context\]"),
        ("get_tensor_shape", "has a shape that depends on values"),
    ],
)
def test_an_engine_that_can_not_be_loaded(
    method: str, message: str, machine: Machine, engines: Path, toy: Path
) -> None:
    machine.trt.fail.add(method)
    with pytest.raises(EngineError, match=message):
        load(toy, engine=f"tensorrt:{engines}")


# --- engines that are stale, or of another machine ---


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"name": b"Fake Thor\0", "major": 11, "minor": 0},
            "the GPU is Fake Thor, not Fake Orin; its compute capability is 11.0, not 8.7",
        ),
        ({"multiProcessorCount": 8}, "its number of multiprocessors is 8, not 16"),
    ],
)
def test_engines_of_another_gpu_are_refused_with_what_differs(
    changed: dict[str, Any], message: str, machine: Machine, engines: Path, toy: Path
) -> None:
    vars(machine.cuda.device).update(changed)
    with pytest.raises(EngineError, match=rf"the engines in {engines} don't fit: {message}; to fix it, run"):
        load(toy, engine=f"tensorrt:{engines}")


def test_engines_of_another_bundle_are_refused(machine: Machine, engines: Path, tmp_path: Path, toy: Path) -> None:
    other = write_toy_bundle(tmp_path / "other", seed=1)
    digest = Bundle.open(toy).digest[:16]
    message = rf"the bundle is another than toy 0, digest {digest}, of {toy}; to fix it, run: vljepa build BUNDLE --out"
    with pytest.raises(EngineError, match=message):
        load(other, engine=f"tensorrt:{engines}")


def test_all_that_changed_is_named_and_the_command_builds_the_same_again(machine: Machine, tmp_path: Path) -> None:
    bundle, out = tmp_path / "my bundle", tmp_path / "engines"
    old = Bundle.open(write_toy_bundle(bundle))
    machine.build.build_engines(old, out, workspace=64 << 20, profiles="query=1:8:32", plugins=False)
    machine.trt.__version__ = "11.4.1"
    again = rf"to fix it, run: vljepa build '{bundle}' --out {out} --workspace 64 --profiles query=1:8:32 --no-plugins$"
    with pytest.raises(EngineError, match=rf"don't fit: TensorRT is 11.4.1, not 10.3.0; {again}"):
        load(bundle, engine=f"tensorrt:{out}")
    shutil.rmtree(bundle)
    new = Bundle.open(write_toy_bundle(bundle, seed=1))
    message = rf"11.4.1, not 10.3.0; the bundle is toy 0, digest {new.digest[:16]}, not toy 0, digest {old.digest[:16]}"
    with pytest.raises(EngineError, match=f"{message}; {again}"):
        load(bundle, engine=f"tensorrt:{out}")


def test_an_altered_or_missing_plan_is_refused(machine: Machine, engines: Path, toy: Path) -> None:
    plan = next(engines.glob("predictor-*.plan"))
    plan.write_bytes(plan.read_bytes()[:-1] + b"?")
    with pytest.raises(EngineError, match=r"predictor-\w+\.plan was altered; to fix it, run: vljepa build"):
        load(toy, engine=f"tensorrt:{engines}")
    plan.unlink()
    with pytest.raises(EngineError, match=r"predictor-\w+\.plan can't be read \(No such file"):
        load(toy, engine=f"tensorrt:{engines}")


# --- opening ---


def test_the_folder_may_come_from_the_environment(
    machine: Machine, engines: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineError, match=r"name their folder as tensorrt:FOLDER or in VLJEPA_ENGINES; to fix it, run"):
        open_engine("tensorrt")
    monkeypatch.setenv("VLJEPA_ENGINES", str(engines))
    engine = open_engine("tensorrt", precision="f16")
    assert (engine.name, engine.precision) == ("tensorrt", "f16")


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"schema": 2}'])
def test_a_folder_without_engines_is_refused(machine: Machine, content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "engines.json").write_bytes(content)
    with pytest.raises(EngineError, match=r"is no folder of TensorRT engines|is damaged"):
        open_engine(f"tensorrt:{tmp_path}")


def test_arguments_that_a_gpu_does_not_take(machine: Machine, engines: Path) -> None:
    with pytest.raises(EngineError, match="takes no threads"):
        open_engine(f"tensorrt:{engines}", threads=2)
    with pytest.raises(EngineError, match="precision must be auto or f16, for which engines are built, got bf16"):
        open_engine(f"tensorrt:{engines}", precision="bf16")
    for name in ("openvino:folder", "tensorrt:"):
        with pytest.raises(InputError, match="only tensorrt takes a folder, as tensorrt:FOLDER"):
            open_engine(name)


def test_no_gpu_is_said(machine: Machine, engines: Path) -> None:
    machine.cuda.fail["cudaGetDeviceProperties"] = Status.OUT_OF_MEMORY
    machine.cuda.runtime = 12090  # which is no reason for that
    with pytest.raises(EngineError, match=r"CUDA: cudaGetDeviceProperties failed: out of memory \(2\)$"):
        open_engine(f"tensorrt:{engines}")


def test_bindings_from_before_12_9_raise_where_there_is_no_driver(machine: Machine, monkeypatch: Any) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("Failed to dlopen libcuda.so.1")

    for name in ("cudaGetDeviceProperties", "cudaDriverGetVersion"):
        monkeypatch.setattr(machine.cuda, name, fail)
    with pytest.raises(EngineError, match=r"cudaGetDeviceProperties failed: Failed to dlopen libcuda.so.1$"):
        machine.engine.this_platform()


@pytest.mark.parametrize(
    ("driver", "runtime", "wanted"),
    [(12060, 12090, "12.8.0"), (12060, 13050, "12.8.0"), (13000, 13050, "13.0.*"), (0, 13050, ""), (13000, 13000, "")],
)
def test_a_driver_older_than_the_bindings_says_which_to_install(
    driver: int, runtime: int, wanted: str, machine: Machine
) -> None:
    machine.cuda.fail["cudaGetDeviceProperties"] = Status.INSUFFICIENT_DRIVER
    machine.cuda.driver, machine.cuda.runtime = driver, runtime
    with pytest.raises(EngineError) as refused:
        machine.engine.this_platform()
    said = str(refused.value)
    assert said.startswith("CUDA: cudaGetDeviceProperties failed: insufficient driver (35)")
    assert said.endswith(pip_install(f"cuda-bindings=={wanted}") if wanted else "(35)")
