"""The Y-encoder's prompt, pooling and Dense modules go from a checkpoint's config through the bundle to the runtime."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import vljepa_edge
from tests.export.quiet import quiet
from tests.export.small_parts import TEXTS
from tests.export.test_checkpoint import READING, SPELLING, config
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.bundle.write import write_bundle
from vljepa_edge.export.pipeline import Plan, export_any
from vljepa_edge.nn.config import DenseConfig
from vljepa_edge.nn.vljepa import VLJepa

PROMPT = "the red fox: "


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, VLJepa]:
    root = tmp_path_factory.mktemp("prompt")
    plain = config()
    dense = (DenseConfig(32, 40, bias=False), DenseConfig(40, 36, activation="tanh"))
    y_encoder = replace(
        plain.y_encoder, prompt=PROMPT, dense=dense, pooling="end_token", end_ids=(READING.token_to_id("[SEP]"),)
    )
    torch.manual_seed(0)
    model = VLJepa(replace(plain, y_encoder=y_encoder)).eval()
    model.save_pretrained(root / "checkpoint", include_frozen=True)
    (root / "checkpoint" / "tokenizers").mkdir()
    for name, tokenizer in (("query", READING), ("target", READING), ("decoder", SPELLING)):
        tokenizer.save(str(root / "checkpoint" / "tokenizers" / f"{name}.json"))
    export_any(str(root / "checkpoint"), root / "bundle", Plan("fp32", window=2), None, quiet)
    return root / "bundle", model


def expected(model: VLJepa, prompt: str) -> list[np.ndarray]:
    with torch.inference_mode():
        ids = [torch.tensor([READING.encode(prompt + text).ids]) for text in TEXTS]
        return [model.encode_text(row).numpy()[0] for row in ids]


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_every_target_is_read_behind_the_prompt(made: tuple[Path, VLJepa], engine: str) -> None:
    bundle, model = made
    loaded = vljepa_edge.load(bundle, engine=engine, precision="f32", threads=1)
    assert loaded.manifest.text.target_prompt == PROMPT
    found = loaded.embed_text(TEXTS)
    np.testing.assert_allclose(found, expected(model, PROMPT), atol=1e-4)
    assert np.abs(found - expected(model, "")).max() > 0.01


def test_a_bundle_without_one_reads_the_text_alone(made: tuple[Path, VLJepa], tmp_path: Path) -> None:
    path, model = made
    bundle = Bundle.open(path)
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["text"]["target_prompt"], manifest["files"]
    write_bundle(tmp_path / "old", manifest, {name: bundle.read(name) for name in bundle.manifest.entries()})
    loaded = vljepa_edge.load(tmp_path / "old", precision="f32", threads=1)
    np.testing.assert_allclose(loaded.embed_text(TEXTS), expected(model, ""), atol=1e-4)
