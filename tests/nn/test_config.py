"""Configs as JSON: exact there and back, strict about keys and types."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from vljepa_edge.errors import InputError
from vljepa_edge.nn.config import VLJepaConfig

presets = pytest.mark.parametrize("preset", [VLJepaConfig.paper, VLJepaConfig.tiny], ids=["paper", "tiny"])


@presets
def test_json_round_trip_is_exact(preset: Callable[[], VLJepaConfig]) -> None:
    config = preset()
    assert VLJepaConfig.from_json(config.to_json()) == config


def test_paper_preset_has_the_papers_numbers() -> None:
    config = VLJepaConfig.paper()
    stack = config.predictor.stack
    assert (stack.hidden, stack.layers, stack.heads, stack.kv_heads, stack.ffn) == (2048, 8, 32, 8, 8192)
    assert (config.predictor.embedding, config.y_encoder.max_tokens) == (1536, 512)
    assert config.language_model is not None and config.language_model.max_tokens == 512
    assert config.x_encoder is not None and config.x_encoder.size == 256
    head = stack.hidden // stack.heads
    layer = stack.hidden * head * (2 * stack.heads + 2 * stack.kv_heads) + 3 * stack.hidden * stack.ffn
    projections = 2048 * (1024 + 2048)
    assert round((stack.layers * layer + projections) / 1e6, -1) == 490  # section 3.1: 490M trainable parameters


def changed(path: str, value: object) -> str:
    data = json.loads(VLJepaConfig.tiny().to_json())
    *parents, last = path.split(".")
    at: Any = data
    for key in parents:
        at = at[int(key)] if key.isdigit() else at[key]
    at[last] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("colour", 1, "unknown key 'colour'"),
        ("predictor.stack.depth", 1, "unknown key 'predictor.stack.depth'"),
        ("predictor.streams.0.size", 1, r"unknown key 'predictor.streams\[0\].size'"),
        ("predictor.stack.hidden", "256", "'predictor.stack.hidden' must be int, not str"),
        ("predictor.stack.hidden", True, "'predictor.stack.hidden' must be int, not bool"),
        ("predictor.streams.0.positions", [4], "must have 2 items"),
        ("predictor.streams", {}, "must be a list"),
        ("predictor", 3, "predictor: expected an object"),
        ("y_encoder.embedding", 100, "shared space"),
        ("predictor.query_dim", 100, "query_dim"),
        ("y_decoder.embedding", 100, "Y-decoder"),
    ],
)
def test_bad_json_is_refused_by_name(path: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        VLJepaConfig.from_json(changed(path, value))


def test_missing_keys_and_broken_json_are_refused() -> None:
    with pytest.raises(InputError, match="missing key 'predictor'"):
        VLJepaConfig.from_json("{}")
    with pytest.raises(InputError, match="not JSON"):
        VLJepaConfig.from_json("{")
    with pytest.raises(InputError, match="expected an object"):
        VLJepaConfig.from_json("[]")
