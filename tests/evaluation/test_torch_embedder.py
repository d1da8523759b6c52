"""A PyTorch model as an embedder: in batches it gives what the model gives one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.media import write_video
from tests.nn.small_models import bert, vjepa2
from tests.training.small_run import tokenizer_of_words
from vljepa_edge.errors import InputError
from vljepa_edge.evaluation.embedder import Look
from vljepa_edge.evaluation.items import Change, Media
from vljepa_edge.evaluation.torch_embedder import TorchEmbedder
from vljepa_edge.nn.config import LlamaStackConfig, PredictorConfig, StreamConfig, VLJepaConfig, YEncoderConfig
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.x_encoder_config import XEncoderConfig
from vljepa_edge.video.stretch import FramePlan, read_frames

PLAN = FramePlan(4, 48, 48)
WORDS = tokenizer_of_words(["a", "red", "square", "what", "moves"])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> VLJepa:
    """The query goes through the Y-encoder, as in the default."""
    root = tmp_path_factory.mktemp("parts")
    vjepa2().save_pretrained(root / "vjepa2")
    bert().save_pretrained(root / "bert")
    config = VLJepaConfig(
        x_encoder=XEncoderConfig(str(root / "vjepa2"), hidden=48, layers=2, heads=2, ffn=192, size=48),
        predictor=PredictorConfig(
            (StreamConfig("x_encoder", 48),), query_dim=24, embedding=20,
            stack=LlamaStackConfig(hidden=32, layers=2, heads=4, kv_heads=2, ffn=48, max_positions=256),
        ),
        y_encoder=YEncoderConfig(str(root / "bert"), hidden=24, embedding=20, max_tokens=32, prompt="a "),
    )  # fmt: skip
    torch.manual_seed(0)
    return VLJepa.assemble(config)


@pytest.fixture
def clips(tmp_path: Path) -> list[Media]:
    paths = [write_video(tmp_path / f"{n}.mp4", [np.full((48, 48, 3), 60 * n, np.uint8)] * 8, fps=4) for n in range(3)]
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    return [*(Media(path) for path in paths), Media(tmp_path / "broken.mp4")]


def test_clips_in_batches_are_what_the_model_gives_one_by_one(small: VLJepa, clips: list[Media]) -> None:
    embedder = TorchEmbedder(small, WORDS, WORDS, PLAN, batch=3)
    asked = [(0, "what moves"), (1, None), (3, None), (2, "what"), (0, "what")]
    looks = [Look(clips[number], query) for number, query in asked]
    rows = embedder.embed_media(looks)
    assert np.isnan(rows[2]).all()
    for row, look in zip(rows, looks, strict=True):
        if look.seen == clips[3]:
            continue
        video = torch.from_numpy(read_frames(look.seen.path, PLAN))[None]  # type: ignore[union-attr]
        ids = None if look.query is None else torch.tensor([WORDS.encode(look.query).ids])
        with torch.no_grad():
            expected = small.predict(video, ids, None if ids is None else torch.ones_like(ids))[0]
        assert np.allclose(row, expected.numpy(), atol=2e-5)


def test_a_query_of_its_own_is_asked_where_none_is(small: VLJepa, clips: list[Media]) -> None:
    asks = TorchEmbedder(small, WORDS, WORDS, PLAN, query="what moves")
    silent = TorchEmbedder(small, WORDS, WORDS, PLAN)
    for own, given in ((None, "what moves"), ("", None)):
        rows = asks.embed_media([Look(clips[0], own)]), silent.embed_media([Look(clips[0], given)])
        assert np.allclose(*rows, atol=1e-6)
    assert asks.digest != silent.digest


def test_what_reads_texts_is_part_of_the_digest(small: VLJepa) -> None:
    """Rows of another tokenizer or prompt are not this model's."""
    other = tokenizer_of_words(["what", "a", "red", "square", "moves"])
    digests = {TorchEmbedder(small, *pair, PLAN).digest for pair in ((WORDS, WORDS), (other, WORDS), (WORDS, other))}
    config = small.config
    small.config = replace(config, y_encoder=replace(config.y_encoder, prompt="the "))
    digests.add(TorchEmbedder(small, WORDS, WORDS, PLAN).digest)
    small.config = config
    assert len(digests) == 4 and TorchEmbedder(small, WORDS, WORDS, PLAN).digest in digests


def test_texts_stand_behind_the_prompt_or_alone(small: VLJepa) -> None:
    embedder = TorchEmbedder(small, WORDS, WORDS, PLAN)
    assert np.allclose(embedder.embed_texts(["a red"], prompt=False), embedder.embed_texts(["red"]), atol=1e-6)
    rows = embedder.embed_texts(["red", "a red square", "square"])
    for row, text in zip(rows, ["a red", "a a red square", "a square"], strict=True):
        with torch.no_grad():
            expected = small.encode_text(torch.tensor([WORDS.encode(text).ids]))[0]
        assert np.allclose(row, expected.numpy(), atol=1e-5)


def test_a_change_is_one_clip(small: VLJepa, clips: list[Media]) -> None:
    (row,) = TorchEmbedder(small, WORDS, WORDS, PLAN).embed_media([Look(Change(clips[0], clips[2]))])
    states = [read_frames(clips[n].path, FramePlan(1, 48, 48), 0.0, 0.04, 0.0) for n in (0, 0, 2, 2)]
    with torch.no_grad():
        expected = small.predict(torch.from_numpy(np.concatenate(states))[None])[0]
    assert np.allclose(row, expected.numpy(), atol=2e-5)


def test_it_says_nothing(small: VLJepa) -> None:
    with pytest.raises(InputError, match="need a bundle"):
        TorchEmbedder(small, WORDS, WORDS, PLAN).decode(np.zeros((1, 20), np.float32))
