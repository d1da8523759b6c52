"""What a run starts from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from tests.export.test_checkpoint import checkpoint
from vljepa_edge.training import build
from vljepa_edge.training.build import build_model
from vljepa_edge.training.config import load_run


def test_a_hub_id_is_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch may move between two look-ups: weights, tokenizers and what is said of them are of one commit."""
    saved, model = checkpoint(tmp_path / "checkpoint")
    asked: list[str] = []
    monkeypatch.setattr(build, "checkpoint_folder", lambda name: asked.append(str(name)) or saved)
    frames = {"count": 4, "width": 32, "height": 32}
    stage = {"name": "a", "steps": 1, "batch": 2, "data": {"clips": 1.0}, "frames": frames, "lr": 1e-3, "query": False}
    run = tmp_path / "run.yaml"
    run.write_text(
        yaml.safe_dump({"name": "r", "init": "me/mine@main", "data": {"clips": {"path": "x"}}, "stages": [stage]})
    )
    start = build_model(load_run(run, ["stages.0.frames.resize=stretch"]))
    assert asked == ["me/mine@main"]
    assert start.holds_frozen  # the checkpoint has them
    found = start.model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())
    assert start.model.config == replace(model.config, resize="stretch")
    assert start.tokenizers.target.get_vocab_size() > 2
