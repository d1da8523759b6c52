"""A model of the default's shape through the trainer of any model: two stages on videos, and a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

import vljepa_edge
from tests.export.quiet import quiet
from tests.nn.test_vljepa_inputs import config, efficientnet_file
from tests.training.small_run import WORDS, tokenizer_of_words, write_clips
from tests.training.tiny_bert import tokenizer, write_sentence_encoder
from vljepa_edge.export.pipeline import Plan, export_any
from vljepa_edge.export.pytorch.checkpoint import Tokenizers
from vljepa_edge.nn.config import YDecoderConfig
from vljepa_edge.nn.tiny_streams import AppearanceStream
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.training.build import save_model
from vljepa_edge.training.config import load_run
from vljepa_edge.training.loop import train


def write_start(folder: Path) -> Path:
    """A checkpoint assembled from files beside it, with tokenizers of the clips' words."""
    efficientnet_file(folder / "lite0.pth")
    write_sentence_encoder(folder / "bert", WORDS, 24)
    reading, saying, made = tokenizer(WORDS), tokenizer_of_words(), config(str(folder / "lite0.pth"))
    torch.manual_seed(0)
    model = VLJepa.assemble(
        replace(
            made,
            y_encoder=replace(made.y_encoder, source=str(folder / "bert"), architecture=None),
            y_decoder=YDecoderConfig(saying.get_vocab_size(), 16, 1, 2, 16, max_tokens=8, embedding=24),
        )
    )
    return save_model(model, Tokenizers(reading, reading, saying), folder / "start", include_frozen=True)


@pytest.mark.slow
def test_two_stages_on_kept_features_and_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = write_start(tmp_path)
    stage = {"batch": 4, "frames": {"count": 8, "width": 224, "height": 224}, "lr": 3e-3, "cache": True}
    run = {
        "name": "small", "out": str(tmp_path / "run"), "init": str(start), "device": "cpu",
        "data": {
            "clips": {"path": str(write_clips(tmp_path / "clips", 4))},
            "asked": {"path": str(write_clips(tmp_path / "clips", 4, questions=True))},
        },
        "stages": [
            {"name": "pretrain", "query": False, "steps": 3, "data": {"clips": 1.0}, **stage},
            {"name": "sft", "query": True, "steps": 2, "data": {"asked": 1.0, "clips": 1.0}, **stage},
        ],
        "parallel": {"bf16": False}, "loader": {"workers": 0}, "peak": 0.1,
    }  # fmt: skip
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    encoded: list[int] = []
    forward = AppearanceStream.forward

    def counted(self: AppearanceStream, frames: Tensor) -> tuple[Tensor, Tensor]:
        encoded.append(len(frames))
        return forward(self, frames)

    monkeypatch.setattr(AppearanceStream, "forward", counted)
    train(load_run(tmp_path / "run.yaml"))
    assert sum(encoded) == 8 * 4  # both stages, captions and questions, read the same four stretches
    before, after = (load_file(folder / "model.safetensors") for folder in (start, tmp_path / "run" / "model"))
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert {"log_scale", "y_encoder.head.weight", "x_encoder.motion.layers.0.0.weight"} <= moved
    assert not any(name.startswith(("x_encoder.appearance.", "y_encoder.backbone.")) for name in moved)
    export_any(str(tmp_path / "run" / "model"), tmp_path / "bundle", Plan("fp16"), None, quiet)
    events = list(vljepa_edge.load(tmp_path / "bundle", threads=1).stream(tmp_path / "clips" / "red_left.mp4"))
    assert events[-1].status == "closed"
