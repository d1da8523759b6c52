"""The empty query at run time is what the query-free first stage of training saw: no query token at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

import vljepa_edge
from tests.engines.chain import cosine, smooth_frames
from tests.export.quiet import quiet
from tests.export.test_checkpoint import READING, checkpoint
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.bundle.write import write_bundle
from vljepa_edge.errors import BundleError
from vljepa_edge.export.pipeline import Plan, export_any
from vljepa_edge.export.pytorch.trace import export_module
from vljepa_edge.model import Model
from vljepa_edge.nn.config import ConceptConfig, LlamaStackConfig, PredictorConfig, StreamConfig
from vljepa_edge.nn.predictor import Predictor
from vljepa_edge.nn.vljepa import VLJepa

ENGINES = ("openvino", "onnxruntime")


@pytest.fixture(scope="module", params=[True, False], ids=["language model", "Y-encoder reads the query"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, VLJepa]:
    root = tmp_path_factory.mktemp("empty")
    source, model = checkpoint(root / "checkpoint", request.param)
    export_any(str(source), root / "bundle", Plan("fp32", window=4), None, quiet)
    return root / "bundle", model


def windows(loaded: Model, frames: NDArray[np.uint8], query: str | None) -> NDArray[np.float32]:
    return loaded.embed_windows([(frame, t / 4) for t, frame in enumerate(frames)], query, full=True)[1][0]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_empty_query_is_no_query(made: tuple[Path, VLJepa], engine: str) -> None:
    bundle, model = made
    loaded = vljepa_edge.load(bundle, engine=engine, precision="f32", threads=1)
    assert loaded.manifest.text.empty_query == "none"
    special = torch.tensor([READING.encode("").ids])
    for seed in range(2):
        frames = smooth_frames(loaded.bundle, seed)
        video = torch.from_numpy(frames[None])
        with torch.inference_mode():
            free, asked = model.predict(video).numpy()[0], model.predict(video, special).numpy()[0]
        assert cosine(free, asked) < 0.999  # what was sent before
        np.testing.assert_allclose(windows(loaded, frames, ""), free, atol=1e-4)
        still = torch.from_numpy(np.repeat(frames[:1], 4, 0)[None])  # the first frame fills a stream's window
        opened = next(iter(loaded.stream([(frames[0], 0.0)], query="", policy="uniform:period=1")))
        with torch.inference_mode():
            np.testing.assert_allclose(opened.embedding, model.predict(still).numpy()[0], atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_bundle_that_does_not_say_sends_the_tokenizers_tokens(
    made: tuple[Path, VLJepa], engine: str, tmp_path: Path
) -> None:
    path, model = made
    bundle = Bundle.open(path)
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["text"]["empty_query"], manifest["files"]
    write_bundle(tmp_path / "old", manifest, {name: bundle.read(name) for name in bundle.manifest.entries()})
    loaded = vljepa_edge.load(tmp_path / "old", engine=engine, precision="f32", threads=1)
    frames = smooth_frames(bundle, 0)
    with torch.inference_mode():
        asked = model.predict(torch.from_numpy(frames[None]), torch.tensor([READING.encode("").ids])).numpy()[0]
    np.testing.assert_allclose(windows(loaded, frames, ""), asked, atol=1e-4)


def test_other_queries_are_asked_as_before(made: tuple[Path, VLJepa]) -> None:
    bundle, model = made
    loaded = vljepa_edge.load(bundle, precision="f32", threads=1)
    frames = smooth_frames(loaded.bundle, 0)
    for query in ("What is happening?", " "):
        with torch.inference_mode():
            ids = torch.tensor([READING.encode(query).ids])
            expected = model.predict(torch.from_numpy(frames[None]), ids).numpy()[0]
        np.testing.assert_allclose(windows(loaded, frames, query), expected, atol=1e-4)


def test_no_token_needs_a_mask(made: tuple[Path, VLJepa], tmp_path: Path) -> None:
    path, _ = made
    bundle = Bundle.open(path)
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["files"]
    inputs = manifest["graphs"]["predictor"]["inputs"]
    manifest["graphs"]["predictor"]["inputs"] = [tensor for tensor in inputs if tensor["name"] != "query_mask"]
    with pytest.raises(BundleError, match="empty_query: 'none' needs a predictor with a query_mask"):
        write_bundle(tmp_path / "out", manifest, {name: bundle.read(name) for name in bundle.manifest.entries()})


@pytest.mark.parametrize("concept", [None, ConceptConfig("a", 4, 12)], ids=["the paper's", "with concepts"])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_predictor_graph_cannot_tell_masked_tokens_from_none(concept: ConceptConfig | None, length: int) -> None:
    torch.manual_seed(0)
    config = PredictorConfig((StreamConfig("a", 16),), 8, 12, LlamaStackConfig(32, 2, 4, 2, 48), concept)
    predictor = Predictor(config).eval()
    for parameter in predictor.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)

    class Graph(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.predictor = predictor

        def forward(self, a: torch.Tensor, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return predictor({"a": a}, tokens, mask)  # type: ignore[no-any-return]

    sample = {"a": torch.randn(1, 5, 16), "tokens": torch.randn(1, 3, 8), "mask": torch.ones(1, 3, dtype=torch.long)}
    onnx = export_module(Graph(), sample, ("embedding",), {"tokens": {1: "tokens"}, "mask": {1: "tokens"}})
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    tokens = np.random.default_rng(1).normal(0, 5, (1, length, 8)).astype(np.float32)
    given = {"a": sample["a"].numpy(), "tokens": tokens, "mask": np.zeros((1, length), np.int64)}
    with torch.inference_mode():
        expected = predictor({"a": sample["a"]}).numpy()
    np.testing.assert_allclose(session.run(None, given)[0], expected, atol=1e-5)
    given["mask"][0, 0] = 1
    assert np.abs(session.run(None, given)[0] - expected).max() > 0.01
