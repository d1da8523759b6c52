"""Configs as JSON: exact there and back, strict about keys and types."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from vljepa_edge.errors import InputError
from vljepa_edge.nn.config import VLJepaConfig
from vljepa_edge.nn.config_json import from_dict, to_dict
from vljepa_edge.nn.x_encoder_config import TinyStreamsConfig, XEncoderConfig

presets = pytest.mark.parametrize("preset", [VLJepaConfig.paper, VLJepaConfig.tiny], ids=["paper", "tiny"])


@presets
def test_json_round_trip_is_exact(preset: Callable[[], VLJepaConfig]) -> None:
    config = preset()
    assert VLJepaConfig.from_json(config.to_json()) == config


def test_the_kind_of_the_x_encoder_is_written_and_one_without_is_v_jepa_2() -> None:
    for preset, kind in ((VLJepaConfig.paper(), "vjepa2"), (VLJepaConfig.tiny(), "tiny_streams")):
        data = json.loads(preset.to_json())
        assert data["x_encoder"]["kind"] == kind
        part: Any = preset.x_encoder
        assert from_dict(type(part), to_dict(part)) == part
    old = json.loads(VLJepaConfig.paper().to_json())
    del old["x_encoder"]["kind"], old["prompts"]  # as version 0.8 wrote it
    assert VLJepaConfig.from_json(json.dumps(old)) == VLJepaConfig.paper()
    old["x_encoder"] = None
    assert VLJepaConfig.from_json(json.dumps(old)).x_encoder is None


def test_the_predictor_reads_what_the_x_encoder_gives() -> None:
    tiny = VLJepaConfig.tiny()
    assert TinyStreamsConfig().streams() == {"appearance": 640, "motion": 128}
    with pytest.raises(InputError, match=r"gives the streams .*'motion', 64"):
        dataclasses.replace(tiny, x_encoder=TinyStreamsConfig(motion_width=16))
    with pytest.raises(InputError, match=r"gives the streams .*'x_encoder', 1024"):
        dataclasses.replace(tiny, x_encoder=XEncoderConfig())


def test_paper_preset_has_the_papers_numbers() -> None:
    config = VLJepaConfig.paper()
    stack = config.predictor.stack
    assert (stack.hidden, stack.layers, stack.heads, stack.kv_heads, stack.ffn) == (2048, 8, 32, 8, 8192)
    assert (config.predictor.embedding, config.y_encoder.max_tokens) == (1536, 512)
    assert config.language_model is not None and config.language_model.max_tokens == 512
    assert isinstance(config.x_encoder, XEncoderConfig) and config.x_encoder.size == 256
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
        ("x_encoder.kind", "swin", r"'x_encoder.kind' must be one of \['vjepa2', 'tiny_streams'\], not 'swin'"),
        ("x_encoder.kind", ["vjepa2"], "'x_encoder.kind' must be one of"),
        ("x_encoder.kind", "vjepa2", "unknown key 'x_encoder.grid'"),
        ("x_encoder.layers", 3, "unknown key 'x_encoder.layers'"),
        ("x_encoder.window", 0, "grid, concept and window must be positive"),
        ("x_encoder.motion_width", 1, "motion_width must be 2 or more"),
        ("x_encoder", 3, "x_encoder: expected an object"),
        ("prompts.classify", "a thing", r"prompts.classify must have \{label\}"),
        ("prompts.answer", "{label}", r"prompts.answer must have \{candidate\}"),
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
