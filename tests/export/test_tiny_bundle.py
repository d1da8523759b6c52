"""The tiny model's bundle, made of small random parts: it verifies, every engine runs it, it says what torch says."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

import vljepa_edge
from tests.engines.chain import cosine, run_chain, smooth_frames
from tests.export.small_parts import CONCEPT, EMBEDDING, GRID, TEXTS, small_parts
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.engines import compile_all, open_engine
from vljepa_edge.export.pytorch.tiny_bundle import TinyParts, write_tiny_bundle
from vljepa_edge.model import Model

QUESTION = "What is happening?"


@pytest.fixture(scope="module")
def parts() -> TinyParts:
    return small_parts()


@pytest.fixture(scope="module")
def bundle(parts: TinyParts, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("tiny") / "tiny"
    written = write_tiny_bundle(
        out, parts, name="small", scale=12.5, provenance={"command": "make tiny"}, figures={"motion": 1}, card="# Card"
    )
    return Bundle.open(written)


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> Model:
    return vljepa_edge.load(bundle.path, threads=1, precision="f32")


def ids_of(parts: TinyParts, text: str) -> torch.Tensor:
    from tokenizers import Tokenizer

    return torch.tensor([Tokenizer.from_str(parts.sentence_tokenizer).encode(text).ids])


def torch_embedding(parts: TinyParts, frames: NDArray[np.uint8], query: str) -> NDArray[np.float32]:
    """Frames (8, 224, 224, 3) through the PyTorch parts alone."""
    with torch.inference_mode():
        appearance, luma = parts.appearance(torch.from_numpy(frames))
        states = parts.sentence_encoder(input_ids=ids_of(parts, query)).last_hidden_state
        streams = {"appearance": appearance[None], "motion": parts.motion(luma[None])}
        found: NDArray[np.float32] = parts.predictor(streams, states, torch.ones(states.shape[:2]))[0].numpy()
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


def test_its_shapes_are_those_of_the_parts(bundle: Bundle) -> None:
    shapes = {
        (role, tensor.name): tuple(tensor.shape)
        for role, graph in bundle.manifest.graphs.items()
        for tensor in (*graph.inputs, *graph.outputs)
    }
    assert shapes["x_encoder_appearance", "appearance"] == (1, 10, GRID + CONCEPT)
    assert shapes["predictor", "motion"] == shapes["x_encoder_motion", "motion"] == (1, 16, 32)
    assert shapes["predictor", "appearance"] == (1, 8, 10, GRID + CONCEPT)


def test_the_predicted_embedding_is_torchs(bundle: Bundle, model: Model, parts: TinyParts) -> None:
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


def test_the_predictor_alone_is_torchs_to_four_digits(bundle: Bundle, parts: TinyParts) -> None:
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


def test_texts_are_embedded_as_by_the_encoder_and_its_head(model: Model, parts: TinyParts) -> None:
    found = model.embed_text(TEXTS)
    for text, embedding in zip(TEXTS, found, strict=True):
        with torch.inference_mode():
            states = parts.sentence_encoder(input_ids=ids_of(parts, text)).last_hidden_state
            expected = F.normalize(parts.y_head(F.normalize(states.mean(1), dim=-1)), dim=-1)[0].numpy()
        assert cosine(embedding, expected) > 0.999  # at 8 bits


def test_decoded_text_is_the_decoders(model: Model, parts: TinyParts) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(parts.decoder_tokenizer)
    decoder = copy.deepcopy(parts.decoder).half().float()  # as it is stored
    for seed in range(4):
        embedding = F.normalize(torch.randn(1, EMBEDDING, generator=torch.Generator().manual_seed(seed)), dim=-1)
        (ids,) = decoder.generate(embedding, parts.decoder_start, parts.decoder_end)
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


def test_a_single_file_holds_the_same_model(parts: TinyParts, bundle: Bundle, tmp_path: Path) -> None:
    packed = write_tiny_bundle(
        tmp_path / "small.vljepa", parts, name="small", scale=12.5, provenance={}, figures={}, card=""
    )
    opened = Bundle.open(packed).manifest
    assert opened.graphs == bundle.manifest.graphs  # hashes and all: exporting twice gives the same bytes
    assert "MODEL_CARD.md" in bundle.manifest.files and "MODEL_CARD.md" not in opened.files
    assert bundle.read("MODEL_CARD.md") == b"# Card"
