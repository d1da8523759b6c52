"""A checkpoint of the complete model becomes a bundle that says what the modules say, in floating point and in INT8."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub.utils import filter_repo_objects
from torch import nn

import vljepa_edge
from tests.engines.chain import cosine, smooth_frames
from tests.export.encoders import inject_outliers
from tests.export.quiet import quiet
from tests.export.small_parts import TEXTS, WORDS, small_tiny, small_tokenizers
from tests.media import write_video
from tests.nn.hub_cache import offline, publish
from tests.training.tiny_bert import tokenizer
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import BundleError, ExportError
from vljepa_edge.export.pipeline import Plan, export_any
from vljepa_edge.export.pytorch import graph
from vljepa_edge.export.pytorch.checkpoint import About, write_checkpoint
from vljepa_edge.nn.config import (
    LanguageModelConfig,
    LlamaStackConfig,
    PredictorConfig,
    StreamConfig,
    VLJepaConfig,
    YDecoderConfig,
    YEncoderConfig,
)
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.x_encoder_config import XEncoderConfig  # fmt: skip
from vljepa_edge.training.tiny.decoder import word_tokenizer

QUESTION = "What is happening?"
SPELLING, READING = word_tokenizer(TEXTS), tokenizer(WORDS)


def config(language: bool = True, decoder: bool = True) -> VLJepaConfig:
    bert = {
        "model_type": "bert", "vocab_size": READING.get_vocab_size(), "hidden_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64,
    }  # fmt: skip
    return VLJepaConfig(
        x_encoder=XEncoderConfig("none", hidden=48, layers=2, heads=4, ffn=96, size=32),
        language_model=LanguageModelConfig("none", vocab=READING.get_vocab_size(), hidden=40, max_tokens=32)
        if language
        else None,
        predictor=PredictorConfig(
            (StreamConfig("x_encoder", 48),), 40 if language else 32, 24, LlamaStackConfig(40, 2, 4, 2, 80)
        ),
        y_encoder=YEncoderConfig("none", 32, 24, max_tokens=32, architecture=bert),
        y_decoder=YDecoderConfig(SPELLING.get_vocab_size(), 32, 1, 2, 48, max_tokens=10, embedding=24)
        if decoder
        else None,
    )


def checkpoint(
    folder: Path, language: bool = True, decoder: bool = True, outliers: bool = False
) -> tuple[Path, VLJepa]:
    torch.manual_seed(0)
    model = VLJepa(config(language, decoder)).eval()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    if outliers:
        inject_outliers(model)
    model.save_pretrained(folder, include_frozen=True)
    (folder / "tokenizers").mkdir()
    for name, made in (("query", READING), ("target", READING), ("decoder", SPELLING)):
        made.save(str(folder / "tokenizers" / f"{name}.json"))
    return folder, model


def export(source: Path, out: Path, plan: Plan) -> object:
    return export_any(str(source), out, plan, None, quiet)


@pytest.mark.parametrize("language", [True, False], ids=["language model", "Y-encoder reads the query"])
@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.99999), ("fp16", 0.9999)])
@pytest.mark.parametrize("streamed", [True, False], ids=["weights one at a time", "traced with its weights"])
@pytest.mark.slow
def test_the_bundle_says_what_the_modules_say(
    language: bool, precision: str, least: float, streamed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if streamed:
        monkeypatch.setattr(graph, "STREAMED", 0)
    source, model = checkpoint(tmp_path / "checkpoint", language)
    report = export(source, tmp_path / "out", Plan(precision, window=4))  # type: ignore[arg-type]
    assert report.bytes > 50_000 and report.seconds > 0 and report.peak_bytes > 1e8  # type: ignore[attr-defined]
    loaded = vljepa_edge.load(tmp_path / "out", precision="f32", threads=1)
    assert "checkpoint" not in loaded.manifest.provenance  # of a folder here
    files = {role: entry.file for role, entry in loaded.manifest.graphs.items()}
    assert (files["query"] == files["y_encoder"]) is not language  # one network, one graph
    assert loaded.manifest.prompts.scale == pytest.approx(1 / 0.07, abs=0.01)
    assert loaded.manifest.video.window == 4 and loaded.manifest.provenance["config"]["predictor"]["embedding"] == 24
    ids = torch.tensor([READING.encode(QUESTION).ids])
    for seed in range(2):
        frames = smooth_frames(loaded.bundle, seed)
        _, found = loaded.embed_windows([(frame, t / 4) for t, frame in enumerate(frames)], QUESTION, full=True)
        with torch.inference_mode():
            expected = model.predict(torch.from_numpy(frames[None]), ids, torch.ones_like(ids))
            said = model.y_decoder.generate(expected, 0, 1)[0]  # type: ignore[union-attr]
        assert cosine(found[0], expected.numpy()) > least
        if precision == "fp32":
            assert loaded.decode_text(expected[0].numpy()) == SPELLING.decode(said).strip()
    with torch.inference_mode():
        texts = [model.y_encoder(i, torch.ones_like(i)) for i in (torch.tensor([READING.encode(t).ids]) for t in TEXTS)]
    assert cosine(loaded.embed_text(TEXTS), torch.cat(texts).numpy()) > least


def test_a_checkpoint_of_the_defaults_shape_becomes_the_bundle_that_its_training_writes(tmp_path: Path) -> None:
    model = copy.copy(small_tiny())  # which other tests share
    model.config = replace(model.config, resize="stretch")
    folder = model.save_pretrained(tmp_path / "checkpoint", include_frozen=True)
    (folder / "tokenizers").mkdir()
    for name, made in vars(small_tokenizers()).items():
        made.save(str(folder / "tokenizers" / f"{name}.json"))
    export(folder, tmp_path / "out", Plan("fp16"))
    found = Bundle.open(tmp_path / "out").manifest
    write_checkpoint(model, small_tokenizers(), tmp_path / "trained", About("small"), quiet)
    expected = Bundle.open(tmp_path / "trained").manifest
    assert found.graphs == expected.graphs  # hashes and all
    assert (found.name, found.video.window) == ("checkpoint", 8)
    assert found.video.resize == "stretch"  # as it was trained
    assert found.prompts.classify == "There is a {label} in the scene." and found.prompts.scale == 12.5
    assert found.licence == "see NOTICE" and {part.part for part in found.licences} == {"X-encoder", "Y-encoder"}
    with pytest.raises(ExportError, match="window has 8 frames, not 16"):
        export(folder, tmp_path / "none", Plan("fp16", window=16))


def test_a_window_that_the_predictor_has_no_positions_for_is_refused(tmp_path: Path) -> None:
    made = config()
    streams = (StreamConfig("x_encoder", 48, positions=(4, 4)),)
    torch.manual_seed(0)
    VLJepa(replace(made, predictor=replace(made.predictor, streams=streams))).save_pretrained(
        tmp_path / "a", include_frozen=True
    )
    (tmp_path / "a" / "tokenizers").mkdir()
    for name, words in (("query", READING), ("target", READING), ("decoder", SPELLING)):
        words.save(str(tmp_path / "a" / "tokenizers" / f"{name}.json"))
    with pytest.raises(ExportError, match=r"a window of 4 frames doesn't fit the predictor: .*positions"):
        export(tmp_path / "a", tmp_path / "out", Plan("fp16", window=4))
    export(tmp_path / "a", tmp_path / "out", Plan("fp16", window=8))


@pytest.mark.slow
def test_int8_of_a_checkpoint_is_calibrated_on_the_folder(tmp_path: Path) -> None:
    source, _ = checkpoint(tmp_path / "checkpoint")
    clips = tmp_path / "clips"
    clips.mkdir()
    for i in range(4):
        draw = np.random.default_rng(i)
        write_video(clips / f"{i}.mp4", [draw.integers(0, 256, (48, 48, 3), np.uint8) for _ in range(8)])
    export(source, tmp_path / "int8.vljepa", Plan("int8", clips, force=True, window=4))
    made = Bundle.open(tmp_path / "int8.vljepa").manifest
    assert made.provenance["export"]["precision"] == "int8"
    assert made.provenance["export"]["clips_held_out"] > 0


def test_a_hub_id_brings_its_tokenizers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published, _ = checkpoint(tmp_path / "published")
    (published / "notes.md").write_text("not needed")
    names = [str(path.relative_to(published)) for path in published.rglob("*") if path.is_file()]
    commit = tmp_path / "cache" / "snapshots" / ("a" * 40)

    def snapshot_download(name: str, *, revision: str, allow_patterns: list[str]) -> str:
        assert (name, revision) == ("robots/vljepa-small", "a" * 40)
        for file in filter_repo_objects(names, allow_patterns=allow_patterns):
            (commit / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(published / file, commit / file)
        return str(commit)

    def hf_hub_download(name: str, file: str, *, revision: str | None) -> str:
        assert (name, file) == ("robots/vljepa-small", "config.json") and revision in ("v1.0", "a" * 40)
        return str(commit / file)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", hf_hub_download)
    export_any("robots/vljepa-small@v1.0", tmp_path / "out", Plan("fp16", window=4), None, quiet)
    bundle = Bundle.open(tmp_path / "out")
    assert bundle.manifest.name == "vljepa-small"
    for role in ("query", "target", "decoder"):
        written = json.loads(bundle.read(f"tokenizers/{role}.json"))
        assert written["model"] == json.loads((published / "tokenizers" / f"{role}.json").read_text())["model"]
    assert not (commit / "notes.md").exists()


def test_a_bundle_says_of_which_commit_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = {"v1.0": "a" * 40, "refs/pr/1": "b" * 40}
    offline(monkeypatch, tmp_path / "hub")
    published, _ = checkpoint(tmp_path / "published")
    for ref, commit in commits.items():
        publish(tmp_path / "hub", "robots/vljepa-small", commit, published, ref)
    export_any("robots/vljepa-small@refs/pr/1", tmp_path / "out", Plan("fp16", window=4), None, quiet)
    manifest = Bundle.open(tmp_path / "out").manifest
    assert manifest.name == "vljepa-small"
    assert manifest.provenance["checkpoint"] == f"robots/vljepa-small@{commits['refs/pr/1']}"
    with pytest.raises(BundleError, match=r"robots/vljepa-small@v2\.0"):
        export_any("robots/vljepa-small@v2.0", tmp_path / "none", Plan("fp16", window=4), None, quiet)


def test_a_model_without_a_decoder_a_causal_one_and_a_window_that_does_not_fit_are_refused(tmp_path: Path) -> None:
    source, _ = checkpoint(tmp_path / "a", decoder=False)
    with pytest.raises(ExportError, match="has no Y-decoder"):
        export(source, tmp_path / "out", Plan("fp16", window=4))
    source, _ = checkpoint(tmp_path / "b")
    with pytest.raises(ExportError, match="multiple of 2 frames, not 3"):
        export(source, tmp_path / "out", Plan("fp16", window=3))
    config = json.loads((source / "config.json").read_text())
    causal = config | {"predictor": config["predictor"] | {"causal": True}}
    (source / "config.json").write_text(json.dumps(causal))
    with pytest.raises(ExportError, match="causal must be false"):
        export(source, tmp_path / "out", Plan("fp16", window=4))
    (source / "config.json").write_text(json.dumps(config))
    (source / "tokenizers" / "query.json").write_text("{}")
    with pytest.raises(BundleError, match="not a tokenizer"):
        export(source, tmp_path / "out", Plan("fp16", window=4))
    assert not (tmp_path / "out").exists()
