"""The frozen streams that come with the package."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from vljepa_edge.nn.tiny_streams import TinyStreams
from vljepa_edge.nn.x_encoder_config import TinyStreamsConfig
from vljepa_edge.training.config import load_run
from vljepa_edge.training.reproduction.streams import FITTED, load_streams


def test_they_are_all_of_the_miniatures_x_encoder_but_the_image_network() -> None:
    config = load_run("miniature").architecture().x_encoder
    assert isinstance(config, TinyStreamsConfig)
    streams = TinyStreams(config)
    network = streams.appearance.net.state_dict()
    before = {name: value.clone() for name, value in network.items()}
    load_streams(streams)
    fitted = load_file(FITTED)
    own = {name: value for name, value in streams.state_dict().items() if not name.startswith(streams.sourced)}
    assert own.keys() == fitted.keys() and all(torch.equal(value, fitted[name]) for name, value in own.items())
    assert all(torch.equal(value, before[name]) for name, value in network.items())


def test_they_whiten_and_class_embeddings_have_the_length_1() -> None:
    fitted = load_file(FITTED)
    torch.testing.assert_close(fitted["appearance.class_embeddings"].norm(dim=-1), torch.ones(1000))
    across = fitted["appearance.projection"].T @ fitted["appearance.projection"]
    spread = across.diagonal().sqrt()
    torch.testing.assert_close(across / spread[:, None] / spread, torch.eye(len(spread)), atol=1e-3, rtol=0)
    assert all(bool(torch.isfinite(value).all()) for value in fitted.values())


def test_a_motion_stem_of_another_width_is_refused() -> None:
    with pytest.raises(RuntimeError, match="size mismatch for motion"):
        load_streams(TinyStreams(replace(TinyStreamsConfig(), motion_width=16)))
