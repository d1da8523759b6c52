"""The tiny model's bundle, made of small random parts: it verifies, every engine runs it, it says what torch says."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

import vljepa_edge
from tests.engines.chain import cosine, run_chain, smooth_frames
from tests.export.quiet import quiet
from tests.export.small_parts import CONCEPT, EMBEDDING, GRID, TEXTS, small_tiny, small_tokenizers
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.engines import compile_all, open_engine
from vljepa_edge.export.pytorch.checkpoint import About, write_checkpoint
from vljepa_edge.model import Model
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.training.tiny.licences import licences

QUESTION = "What is happening?"


ABOUT = About("small", licences([]), {"command": "make tiny"}, {"motion": 1}, "# Card")


@pytest.fixture(scope="module")
def parts() -> VLJepa:
    return small_tiny()


@pytest.fixture(scope="module")
def bundle(parts: VLJepa, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("tiny") / "tiny"
    return Bundle.open(write_checkpoint(parts, small_tokenizers(), out, ABOUT, quiet))


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> Model:
    return vljepa_edge.load(bundle.path, threads=1, precision="f32")


def ids_of(text: str) -> torch.Tensor:
    return torch.tensor([small_tokenizers().query.encode(text).ids])


def torch_embedding(parts: VLJepa, frames: NDArray[np.uint8], query: str) -> NDArray[np.float32]:
    """Frames (8, 224, 224, 3) through PyTorch alone."""
    with torch.inference_mode():
        found: NDArray[np.float32] = parts.predict(torch.from_numpy(frames[None]), ids_of(query))[0].numpy()
    return found


def test_the_bundle_says_what_it_is(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert (manifest.name, manifest.version, manifest.licence) == ("small", vljepa_edge.__version__, "Apache-2.0")
    assert (manifest.video.width, manifest.video.fps, manifest.video.window) == (224, 4.0, 8)
    assert manifest.embedding.width == EMBEDDING
    assert manifest.prompts.scale == 12.5 and manifest.figures == {"motion": 1}
    assert manifest.graphs["query"].file == manifest.graphs["y_encoder"].file  # one text graph for both
    assert {licence.part for licence in manifest.licences} >= {"graphs/text.onnx", "everything else"}
    notice = bundle.read("NOTICE").decode()
    assert "MiniLM" in notice and "EfficientNet-Lite0" in notice and "WordNet" in notice


def outputs(bundle: Bundle) -> dict[str, list[float]]:
    """Eight numbers of each output of each graph, of inputs drawn by NumPy."""
    rng, found = np.random.default_rng(7), {}
    for file in sorted({graph.file for graph in bundle.manifest.graphs.values()}):
        role, entry = next((r, g) for r, g in bundle.manifest.graphs.items() if g.file == file)
        inputs: dict[str, NDArray[Any]] = {}
        for given in entry.inputs:
            shape = [3 if size == -1 else size for size in given.shape]
            drawn = rng.uniform(size=shape)
            if given.dtype == "float32":
                inputs[given.name] = drawn.astype(np.float32)
            else:
                most = 256 if given.dtype == "uint8" else 1 if "mask" in given.name else 20
                inputs[given.name] = (drawn * most).astype(given.dtype) + np.array("mask" in given.name, given.dtype)
        made = open_engine("onnxruntime").compile(bundle.read(file), role)(inputs)
        for name, value in made.items():
            every = max(1, value.size // 8)
            found[f"{file} {name}"] = value.reshape(-1)[::every][:8].astype(float).tolist()
    return found


def test_it_is_what_version_0_8_wrote(bundle: Bundle) -> None:
    """tiny_0_8.json is of the exporter that tiny had of its own, from these very parts. Beside it the first bundle from
    here had the same bytes in all graphs but the text's, whose outputs were equal."""
    expected = json.loads((Path(__file__).parent / "tiny_0_8.json").read_text())
    manifest = bundle.manifest.model_dump(mode="json", by_alias=True)
    text = manifest["text"]
    assert (text.pop("empty_query"), text.pop("target_prompt")) == ("none", "")  # newer than that exporter
    assert manifest.pop("confidence") is None  # and this
    assert manifest["provenance"].pop("config")["x_encoder"]["kind"] == "tiny_streams"  # newer too
    for graph in manifest["graphs"].values():
        del graph["sha256"], graph["bytes"]
    for key in ("created", "version", "files", "needs"):
        del manifest[key]
    assert manifest == expected["manifest"]
    assert set(bundle.manifest.files) == set(expected["files"])
    found = outputs(bundle)
    assert set(found) == set(expected["outputs"])
    for name, values in expected["outputs"].items():  # processors differ in the last digits, also in drawing weights
        np.testing.assert_allclose(found[name], values, rtol=2e-3, atol=1e-4, err_msg=name)


def test_its_shapes_are_those_of_the_parts(bundle: Bundle) -> None:
    shapes = {
        (role, tensor.name): tuple(tensor.shape)
        for role, graph in bundle.manifest.graphs.items()
        for tensor in (*graph.inputs, *graph.outputs)
    }
    assert shapes["x_encoder_appearance", "appearance"] == (1, 10, GRID + CONCEPT)
    assert shapes["predictor", "motion"] == shapes["x_encoder_motion", "motion"] == (1, 16, 32)
    assert shapes["predictor", "appearance"] == (1, 8, 10, GRID + CONCEPT)


def test_the_predicted_embedding_is_torchs(bundle: Bundle, model: Model, parts: VLJepa) -> None:
    given, wanted = [], []
    for seed in range(3):
        frames = smooth_frames(bundle, seed)
        times, found = model.embed_windows([(frame, t / 4) for t, frame in enumerate(frames)], QUESTION, full=True)
        assert found.shape == (1, EMBEDDING) and times.tolist() == [1.75]
        given.append(found[0])
        wanted.append(torch_embedding(parts, frames, QUESTION))
        assert cosine(given[-1], wanted[-1]) > 0.999  # weights at 16 bits, the sentence encoder's at 8
    for i in (1, 2):  # random parts say nearly the same of any clip: what differs between clips must agree too
        assert cosine(given[0] - given[i], wanted[0] - wanted[i]) > 0.98


def test_the_predictor_alone_is_torchs_to_four_digits(bundle: Bundle, parts: VLJepa) -> None:
    graph = compile_all(open_engine("onnxruntime"), bundle)["predictor"]
    rng = np.random.default_rng(0)
    for length in (1, 3, 11):
        inputs = {
            "appearance": rng.normal(size=(1, 8, 10, GRID + CONCEPT)).astype(np.float32),
            "motion": rng.normal(size=(1, 16, 32)).astype(np.float32),
            "query_tokens": rng.normal(size=(1, length, EMBEDDING)).astype(np.float32),
            "query_mask": np.ones((1, length), np.int64),
        }
        inputs["query_mask"][0, -1] = length == 1  # the last of several is padding
        tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
        query, mask = tensors.pop("query_tokens"), tensors.pop("query_mask")
        with torch.inference_mode():
            expected = parts.predictor(tensors, query, mask).numpy()
        found = graph(inputs)["embedding"]
        assert cosine(found, expected) > 0.9999
        np.testing.assert_allclose(found, expected, atol=5e-3)


def test_texts_are_embedded_as_by_the_encoder_and_its_head(model: Model, parts: VLJepa) -> None:
    found = model.embed_text(TEXTS)
    for text, embedding in zip(TEXTS, found, strict=True):
        with torch.inference_mode():
            states = parts.y_encoder.backbone(input_ids=ids_of(text)).last_hidden_state
            head = parts.y_encoder.head
            assert head is not None
            expected = F.normalize(head(F.normalize(states.mean(1), dim=-1)), dim=-1)[0].numpy()
        assert cosine(embedding, expected) > 0.999  # at 8 bits


def test_decoded_text_is_the_decoders(model: Model, parts: VLJepa) -> None:
    tokenizer = small_tokenizers().decoder
    decoder = copy.deepcopy(parts.y_decoder).half().float()  # type: ignore[union-attr]  # as it is stored
    for seed in range(4):
        embedding = F.normalize(torch.randn(1, EMBEDDING, generator=torch.Generator().manual_seed(seed)), dim=-1)
        (ids,) = decoder.generate(embedding, 0, 1)
        assert model.decode_text(embedding[0].numpy()) == tokenizer.decode(ids).strip()


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_engines_agree_with_the_reference(bundle: Bundle, name: str) -> None:
    reference = compile_all(open_engine("torch"), bundle)
    graphs = compile_all(open_engine(name, threads=1), bundle)  # at the precision that a user gets
    frames = smooth_frames(bundle, 1)
    expected, found = (run_chain(g, bundle, frames, QUESTION) for g in (reference, graphs))
    for key in ("predictor", "y_encoder"):
        assert cosine(found[key], expected[key]) >= 0.999, key


def test_a_clip_streams(bundle: Bundle, model: Model) -> None:
    frames = np.concatenate([smooth_frames(bundle, seed) for seed in (1, 2)])
    reader = model.stream([(frame, t / 4) for t, frame in enumerate(frames)], query=QUESTION, policy="uniform:period=1")
    events = list(reader)
    assert events and {event.status for event in events} == {"open", "closed"}
    assert all(event.query == QUESTION and event.embedding.shape == (EMBEDDING,) for event in events)
    assert reader.stats().frames == 16


def test_a_single_file_holds_the_same_model(parts: VLJepa, bundle: Bundle, tmp_path: Path) -> None:
    packed = write_checkpoint(parts, small_tokenizers(), tmp_path / "small.vljepa", About("small", licences([])), quiet)
    opened = Bundle.open(packed).manifest
    assert opened.graphs == bundle.manifest.graphs  # hashes and all: exporting twice gives the same bytes
    assert "MODEL_CARD.md" in bundle.manifest.files and "MODEL_CARD.md" not in opened.files
    assert bundle.read("MODEL_CARD.md") == b"# Card"
