"""All engines give the same answers, and the same ones when many threads ask at once."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.engines.chain import cosine, run_chain, smooth_frames
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.engines import Precision, compile_all, open_engine
from vljepa_edge.errors import BundleError, EngineError

ENGINES: list[tuple[str, Precision, float]] = [
    ("openvino", "f32", 0.9999),
    ("openvino", "auto", 0.999),  # bf16 where the CPU has it
    ("onnxruntime", "auto", 0.9999),
]
NAMES = ["openvino", "onnxruntime", "torch"]


@pytest.fixture(scope="module", params=[False, True], ids=["frame features", "whole clips"])
def toy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.open(write_toy_bundle(tmp_path_factory.mktemp("toy") / "toy.vljepa", vjepa=request.param))


@pytest.mark.parametrize(("name", "precision", "least"), ENGINES)
def test_agree_with_the_reference_on_the_toy(name: str, precision: Precision, least: float, toy: Bundle) -> None:
    reference = compile_all(open_engine("torch"), toy)
    graphs = compile_all(open_engine(name, precision=precision), toy)
    for seed in range(5):
        frames = smooth_frames(toy, seed)
        expected = run_chain(reference, toy, frames, "What is moving?")
        given = run_chain(graphs, toy, frames, "What is moving?")
        assert {key: cosine(given[key], expected[key]) >= least for key in expected} == dict.fromkeys(expected, True)
        assert given["predictor"].dtype == np.float32
        assert np.linalg.norm(given["predictor"]) == pytest.approx(1, abs=1e-2 if precision == "auto" else 1e-5)


@pytest.mark.skipif(not (default_bundle() / "manifest.json").is_file(), reason="the default bundle was not trained yet")
@pytest.mark.parametrize(("name", "precision", "_"), ENGINES)
@pytest.mark.slow
def test_agree_with_the_reference_on_the_default_bundle(name: str, precision: Precision, _: float) -> None:
    bundle = Bundle.open(default_bundle())
    reference = compile_all(open_engine("torch"), bundle)
    graphs = compile_all(open_engine(name, precision=precision), bundle)
    for seed, query in enumerate((bundle.manifest.text.default_query, "What moves?", "How many are there?")):
        frames = smooth_frames(bundle, seed)
        expected = run_chain(reference, bundle, frames, query)
        given = run_chain(graphs, bundle, frames, query)
        for key in ("predictor", "y_encoder"):
            assert cosine(given[key], expected[key]) >= 0.998, (key, query)  # INT8: engines differ by rounding


@pytest.mark.parametrize("name", NAMES)
def test_many_threads_get_what_one_gets(name: str, toy: Bundle) -> None:
    graph = compile_all(open_engine(name, threads=2), toy)["y_encoder"]
    rng = np.random.default_rng(0)
    texts = [
        rng.integers(0, 200, (1 + i % 3, 2 + i % 17)) for i in range(200)
    ]  # batches and lengths change all the time
    asked = [{"input_ids": ids, "attention_mask": np.ones_like(ids)} for ids in texts]
    alone = [graph(inputs)["embedding"] for inputs in asked]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda inputs: graph(inputs)["embedding"], asked))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_the_callers_to_keep_and_inputs_stay_as_they_were(name: str, toy: Bundle) -> None:
    role = next(iter(toy.manifest.x_encoders))
    graph = compile_all(open_engine(name), toy)[role]
    tensor = toy.manifest.graphs[role].inputs[0]
    dark = np.zeros([max(size, 1) for size in tensor.shape], tensor.dtype)
    first = graph({tensor.name: dark})
    kept = {key: value.copy() for key, value in first.items()}
    graph({tensor.name: dark + 200})
    for key, value in first.items():
        np.testing.assert_array_equal(value, kept[key])
        value += 1  # writable, and no one else's
    again = graph({tensor.name: dark})
    for key, value in again.items():
        np.testing.assert_array_equal(value, kept[key])
    assert not dark.any()


@pytest.mark.parametrize("name", NAMES)
def test_read_only_and_strided_frames_are_fine(name: str, toy: Bundle) -> None:
    role = next(iter(toy.manifest.x_encoders))
    graph = compile_all(open_engine(name), toy)[role]
    tensor = toy.manifest.graphs[role].inputs[0]
    frame = np.random.default_rng(0).integers(0, 255, [max(size, 1) for size in tensor.shape], np.uint8)
    expected = graph({tensor.name: frame})
    mirrored = frame[..., ::-1].copy()[..., ::-1]
    read_only = np.frombuffer(frame.tobytes(), np.uint8).reshape(frame.shape)
    for same in (mirrored, read_only):
        for key, value in graph({tensor.name: same}).items():
            np.testing.assert_array_equal(value, expected[key])


@pytest.mark.parametrize("name", NAMES)
def test_a_shared_file_is_compiled_once(name: str, toy: Bundle) -> None:
    graphs = compile_all(open_engine(name), toy)
    assert graphs["query"] is graphs["y_encoder"]
    assert set(graphs) == set(toy.manifest.graphs)
    assert graphs["query"].inputs == ("input_ids", "attention_mask")
    assert graphs["query"].outputs == ("query_tokens", "embedding")


def test_a_manifest_with_other_names_than_its_graph_is_refused(toy: Bundle) -> None:
    entry = toy.manifest.graphs["y_decoder"]
    wrong = entry.model_copy(update={"inputs": entry.inputs[:1]})
    graphs = {**toy.manifest.graphs, "y_decoder": wrong}
    bundle = Bundle(toy.path, toy.manifest.model_copy(update={"graphs": graphs}), toy.digest)
    with pytest.raises(BundleError, match=r"takes embedding, ids and gives logits") as caught:
        compile_all(open_engine("onnxruntime"), bundle)
    assert caught.value.file == "graphs/y_decoder.onnx"


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_is_none_is_an_engine_error(name: str, tmp_path: Path) -> None:
    for model in (b"", b"hello", bytes(100)):
        with pytest.raises(EngineError, match=r"predictor.*can't compile"):
            open_engine(name).compile(model, "predictor")


@pytest.mark.slow
def test_a_fresh_process_compiles_from_two_threads_without_waiting_for_ever(tmp_path: Path) -> None:
    """OpenVINO sets its type tables up on first use; unprepared, two threads now and then waited for each other."""
    bundle = write_toy_bundle(tmp_path / "toy")
    code = "import sys, vljepa_edge; sys.setswitchinterval(1e-6); vljepa_edge.load(sys.argv[1])"
    for _ in range(5):
        subprocess.run([sys.executable, "-c", code, str(bundle)], check=True, timeout=120)
