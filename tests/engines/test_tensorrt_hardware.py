"""On a real GPU with a real TensorRT: engines build, run, and agree with ONNX Runtime. Has never run so far.

`test_tensorrt_engine.py` runs all of it on stand-ins, so that it is right when there is a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.engines.chain import cosine, run_chain, smooth_frames
from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.engines import available, compile_all, import_engine, open_engine
from vljepa_edge.errors import EngineError

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module", autouse=True)
def _hardware() -> None:
    reason = available()["tensorrt"]
    if reason is None:
        try:
            import_engine("tensorrt").this_platform()
        except EngineError as error:
            reason = str(error)
    if reason is not None:
        pytest.skip(f"NOT VERIFIED ON HARDWARE: {reason}")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(default_bundle())


@pytest.fixture(scope="module")
def engines(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield build(bundle, tmp_path_factory.mktemp("engines") / "default")


def build(bundle: Bundle, folder: Path) -> Path:
    from vljepa_edge.export.tensorrt.build import build_engines

    build_engines(bundle, folder)
    return folder


def test_the_default_bundle_agrees_with_onnxruntime(bundle: Bundle, engines: Path) -> None:
    graphs = compile_all(open_engine(f"tensorrt:{engines}"), bundle)
    reference = compile_all(open_engine("onnxruntime"), bundle)
    for seed in range(4):  # plain, recorded, and out of the recording
        frames = smooth_frames(bundle, seed)
        query = bundle.manifest.text.default_query
        given, expected = (run_chain(made, bundle, frames, query) for made in (graphs, reference))
        for key, value in expected.items():
            assert cosine(given[key], value) >= 0.998, key


def test_recordings_give_what_plain_runs_give(bundle: Bundle, engines: Path) -> None:
    graph = compile_all(open_engine(f"tensorrt:{engines}"), bundle)["y_encoder"]
    rng = np.random.default_rng(0)
    asked = [rng.integers(0, 200, (1 + i % 3, 5 + i % 4)) for i in range(12)]
    plain = [graph({"input_ids": ids, "attention_mask": np.ones_like(ids)})["embedding"] for ids in asked]
    for _ in range(2):
        for ids, expected in zip(asked, plain, strict=True):
            given = graph({"input_ids": ids, "attention_mask": np.ones_like(ids)})["embedding"]
            np.testing.assert_allclose(given, expected, atol=2e-3)
