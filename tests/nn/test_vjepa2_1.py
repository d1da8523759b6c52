"""XEncoder as V-JEPA 2.1 (and 2) against the published definition, written again in float64."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from tests.nn.small_models import frames
from tests.nn.vjepa_reference import features, meta_state, vjepa2, vjepa2_1
from vljepa_edge.errors import InputError
from vljepa_edge.export.pytorch.streamed import export_streamed
from vljepa_edge.nn.convert.vjepa import weight_sources
from vljepa_edge.nn.x_encoder import XEncoder
from vljepa_edge.nn.x_encoder_config import XEncoderConfig


def encoder(config: XEncoderConfig, seed: int = 0) -> XEncoder:
    state = meta_state(config, seed)
    made = XEncoder(config)
    made.load_state_dict({ours: make(state[theirs]) for ours, ((theirs,), make) in weight_sources(config).items()})
    return made.eval()


# Heads of 24 turn wholly; of 16, 64 (ViT-B, L, g, G) and 80 (ViT-H) some channels stand still.
@pytest.mark.parametrize(("hidden", "heads"), [(48, 2), (48, 3), (128, 2), (80, 1)])
@pytest.mark.parametrize("count", [1, 2, 6])
@pytest.mark.parametrize("make", [vjepa2, vjepa2_1])
def test_features_equal_the_definition(make: object, hidden: int, heads: int, count: int) -> None:
    config: XEncoderConfig = make(hidden, heads)  # type: ignore[operator]
    video = frames(count, config.size)
    found = encoder(config)(video)
    expected = features(meta_state(config), config, video)
    assert found.shape == (2, max(1, count // 2) * (config.size // 16) ** 2, hidden)
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("change", [{"rope": "tiled"}, {"rope_grid": None}, {"rope_grid": 4}, {"outputs": "all"}])
def test_every_option_changes_the_features(change: dict[str, object]) -> None:
    config = vjepa2_1()
    other = replace(config, **change)  # type: ignore[arg-type]
    video = frames(4, 64)
    mine, theirs = encoder(config)(video), encoder(other)(video)
    if change == {"rope_grid": 4}:  # that is the grid that there is
        torch.testing.assert_close(theirs.double(), features(meta_state(other), other, video), atol=1e-4, rtol=0)
    assert mine.shape != theirs.shape or (mine - theirs).abs().max() > 0.01


def test_all_outputs_are_the_four_normed_depths_side_by_side() -> None:
    config = vjepa2_1(outputs="all")
    assert config.width == 4 * 48
    found = encoder(config)(frames(4, 64))
    assert found.shape == (2, 2 * 16, 4 * 48)
    torch.testing.assert_close(found.double(), features(meta_state(config), config, frames(4, 64)), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[..., -48:], encoder(vjepa2_1())(frames(4, 64)), atol=0, rtol=0)


def test_an_image_is_not_a_still_video() -> None:
    made, image = encoder(vjepa2_1()), frames(1, 64)
    still = made(image.repeat(1, 2, 1, 1, 1))
    assert made(image).shape == still.shape
    assert (made(image) - still).abs().max() > 0.1


@pytest.mark.parametrize("outputs", ["last", "all"])
@pytest.mark.parametrize("count", [1, 4])
def test_its_graph_gives_the_same(outputs: str, count: int, tmp_path: Path) -> None:
    made, video = encoder(vjepa2_1(outputs=outputs)), frames(count, 64)
    path = tmp_path / "graph.onnx"
    export_streamed(made, {"frames": torch.zeros_like(video[:1])}, ("x_encoder",), {}, 32, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [item.name for item in session.get_inputs()] == ["frames"]
    (found,) = session.run(None, {"frames": video[:1].numpy()})
    np.testing.assert_allclose(found, made(video[:1]).numpy(), atol=2e-4)


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (XEncoderConfig.vjepa2("L"), 304e6),
        (XEncoderConfig.vjepa2("H"), 632e6),
        (XEncoderConfig.vjepa2("g-384"), 1012e6),
        (XEncoderConfig.vjepa2_1("B"), 87e6),
        (XEncoderConfig.vjepa2_1("L"), 305e6),
        (XEncoderConfig.vjepa2_1("g"), 1013e6),
        (XEncoderConfig.vjepa2_1("G"), 1844e6),
    ],
)
def test_released_sizes(config: XEncoderConfig, parameters: float) -> None:
    with torch.device("meta"):
        made = XEncoder(config)
    assert sum(p.numel() for p in made.parameters()) == pytest.approx(parameters, rel=0.01)
    assert config.hidden // config.heads == (80 if config.hidden == 1280 else 64)


def test_the_default_is_v_jepa_2_large_and_odd_configs_are_refused() -> None:
    assert XEncoderConfig.vjepa2("L") == XEncoderConfig()
    assert XEncoderConfig.vjepa2("g-384").source == "facebook/vjepa2-vitg-fpc64-384"
    for name in ("B", "l", "", "Lg", "L-512"):
        with pytest.raises(InputError, match="one of L, H, g"):
            XEncoderConfig.vjepa2(name)
    for wrong, message in (
        ({"rope": "spiral"}, "rope must be"),
        ({"rope_grid": 0}, "rope_grid must be positive"),
        ({"modality": True}, "needs image_patches"),
        ({"norm_depths": (3, 5)}, "end with the last layer, 23"),
        ({"norm_depths": (5, 3, 23)}, "must rise"),
        ({"outputs": "all"}, "needs norm_depths"),
        ({"outputs": "some"}, "outputs must be"),
    ):
        with pytest.raises(InputError, match=message):
            XEncoderConfig(**wrong)  # type: ignore[arg-type]
