"""XEncoder against transformers' VJEPA2Model."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from tests.nn.small_models import features, frames, vjepa2
from vljepa_edge.errors import InputError
from vljepa_edge.nn.x_encoder import XEncoder, rope_tables


# Heads of 24 turn wholly; of 16 and 64 (ViT-L) 4 channels stand still, the rest in three shares.
@pytest.mark.parametrize(("hidden", "heads"), [(48, 2), (48, 3), (128, 2)])
@pytest.mark.parametrize("count", [2, 8])
def test_features_equal_vjepa2_model(hidden: int, heads: int, count: int) -> None:
    model = vjepa2(hidden, heads)
    encoder = XEncoder.from_hf(model, "local")
    found = encoder(frames(count))
    assert found.shape == (2, count // 2 * 9, hidden)
    torch.testing.assert_close(found, features(model, frames(count)), atol=2e-5, rtol=0)


def test_an_image_is_one_frame_duplicated() -> None:
    model = vjepa2()
    encoder = XEncoder.from_hf(model, "local")
    image = frames(1)
    torch.testing.assert_close(encoder(image), encoder(image.repeat(1, 2, 1, 1, 1)), atol=0, rtol=0)
    torch.testing.assert_close(encoder(image), features(model, image), atol=2e-5, rtol=0)  # transformers does the same


def test_textbook_rotary_angles_are_not_what_it_was_trained_with() -> None:
    model = vjepa2(128)
    encoder = XEncoder.from_hf(model, "local")
    expected = features(model, frames(8))
    cos, _ = rope_tables(4, 3, 64)
    frequencies = torch.outer(torch.arange(36) // 9, 1.0 / 10000 ** (torch.arange(10) / 10))
    tiled, repeated = frequencies.repeat(1, 2), frequencies.repeat_interleave(2, dim=1)
    in_order = torch.stack((cos[:, :32], cos[:, 32:]), dim=-1).flatten(1)
    torch.testing.assert_close(in_order[:, :20], tiled.cos(), atol=1e-6, rtol=0)
    assert (in_order[:, :20] - repeated.cos()).abs().max() > 0.1
    torch.testing.assert_close(encoder(frames(8)), expected, atol=2e-5, rtol=0)


def test_it_is_frozen() -> None:
    encoder = XEncoder.from_hf(vjepa2(), "local")
    assert not any(p.requires_grad for p in encoder.parameters())
    assert not encoder(frames(2)).requires_grad


def test_onnx_equals_torch(tmp_path: Path) -> None:
    encoder = XEncoder.from_hf(vjepa2(), "local").eval()
    file = str(tmp_path / "graph.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(encoder, (frames(4)[:1],), file, dynamo=False, opset_version=20, input_names=["frames"])
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"frames": frames(4)[1:].numpy()})
    np.testing.assert_allclose(found, encoder(frames(4)[1:]).numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (frames(2).float(), "uint8"),
        (frames(2)[0], "uint8"),
        (frames(2, 64), "48, 48, 3"),
        (frames(2).permute(0, 1, 4, 2, 3), "48, 48, 3"),
        (frames(3), "multiple of 2"),
        (frames(2)[:, :0], "0 frames"),
    ],
)
def test_wrong_frames_are_refused(video: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        XEncoder.from_hf(vjepa2(), "local")(video)
