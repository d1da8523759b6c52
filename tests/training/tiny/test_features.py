"""Drawing and encoding clips once: what is cached is what was drawn, and nothing is encoded or drawn twice."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor

from tests.training.tiny.fakes import cutout, grey_background
from vljepa_edge.nn.efficientnet import EfficientNetLite0
from vljepa_edge.nn.tiny_streams import CONCEPT_WIDTH, GRID_WIDTH, AppearanceStream
from vljepa_edge.training.tiny import features
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.features import (
    Clips,
    Draw,
    FrameEncoder,
    draw_luma,
    drawn,
    encode_clips,
    fit_projection,
)
from vljepa_edge.training.tiny.scenes import Painter

SCENES = [
    Scene("left", "a"),
    Scene("still", "a"),
    Scene("appear", "b", None, 1),
    Scene("swap", "a", "b"),
    Scene("up", "b"),
]
DISTINCT = [8, 1, 2, 3, 8]


class CountingEncoder:
    """Features that name the frame: its first pixel everywhere."""

    def __init__(self, digest: str = "one") -> None:
        self.digest = digest
        self.batches: list[int] = []

    def __call__(self, frames: NDArray[np.uint8]) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
        self.batches.append(len(frames))
        level = frames[:, 0, 0, 0]
        appearance = np.broadcast_to(level[:, None, None].astype(np.float16), (len(frames), 10, 640))
        return appearance, np.broadcast_to(level[:, None, None], (len(frames), 56, 56))


def draw(scene: Scene, rng: random.Random) -> NDArray[np.uint8]:
    """Frames of one number each: the clip's own, then one more whenever something changes."""
    first, distinct = rng.randrange(200), DISTINCT[SCENES.index(scene)]
    levels = [first + t * distinct // 8 for t in range(8)]
    return np.broadcast_to(np.array(levels, np.uint8)[:, None, None, None], (8, 224, 224, 3))


def encode(folder: Path, name: str, scenes: list[Scene], encoder: CountingEncoder, draw: Draw = draw) -> Clips:
    return encode_clips(folder, name, scenes, drawn(draw, scenes, 5), encoder, 5)  # type: ignore[arg-type]


def test_every_clip_gets_the_features_of_its_own_frames_and_repeated_ones_are_encoded_once(tmp_path: Path) -> None:
    encoder = CountingEncoder()
    clips = encode(tmp_path, "train", SCENES, encoder)
    assert sum(encoder.batches) == sum(DISTINCT) and max(encoder.batches) <= 4
    assert clips.appearance.shape == (5, 8, 10, 640) and clips.appearance.dtype == np.float16
    assert clips.luma.shape == (5, 8, 56, 56) and clips.luma.dtype == np.uint8
    assert clips.scenes == SCENES and len(clips) == 5
    for i, scene in enumerate(SCENES):
        expected = draw(scene, random.Random(f"5/{i}"))[:, 0, 0, 0]
        np.testing.assert_array_equal(clips.luma[i, :, 7, 9], expected)
        np.testing.assert_array_equal(clips.appearance[i, :, 3, 100], expected.astype(np.float16))


def nothing(scene: Scene, rng: random.Random) -> NDArray[np.uint8]:
    pytest.fail(f"{scene} is drawn again")


def test_a_second_run_draws_and_encodes_nothing(tmp_path: Path) -> None:
    first, encoder = encode(tmp_path, "train", SCENES, CountingEncoder()), CountingEncoder()
    again = encode(tmp_path, "train", SCENES, encoder, nothing)
    np.testing.assert_array_equal(again.appearance, first.appearance)
    np.testing.assert_array_equal(again.luma, first.luma)
    assert again.scenes == first.scenes and not encoder.batches


def test_a_run_that_was_broken_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_KEPT", 2)
    expected = encode(tmp_path / "whole", "train", SCENES, CountingEncoder())

    def broken(scene: Scene, rng: random.Random) -> NDArray[np.uint8]:
        if scene == SCENES[3]:
            raise KeyboardInterrupt
        return draw(scene, rng)

    with pytest.raises(KeyboardInterrupt):
        encode(tmp_path, "train", SCENES, CountingEncoder(), broken)
    encoder = CountingEncoder()
    clips = encode(tmp_path, "train", SCENES, encoder)
    assert sum(encoder.batches) == sum(DISTINCT[2:])  # the first two were kept
    np.testing.assert_array_equal(clips.luma, expected.luma)
    np.testing.assert_array_equal(clips.appearance, expected.appearance)


def test_other_weights_and_other_scenes_are_encoded_again(tmp_path: Path) -> None:
    encode(tmp_path, "train", SCENES, CountingEncoder())
    other, encoder = CountingEncoder("two"), CountingEncoder()
    encode(tmp_path, "train", SCENES, other)
    assert sum(other.batches) == sum(DISTINCT)
    encode(tmp_path, "train", [*SCENES[:4], SCENES[1]], encoder)
    assert sum(encoder.batches) == DISTINCT[1]


def test_every_brightness_is_kept_exactly(tmp_path: Path) -> None:
    def level(i: int) -> NDArray[np.uint8]:
        return np.broadcast_to(np.arange(8 * i, 8 * i + 8, dtype=np.uint8)[:, None, None, None], (8, 224, 224, 3))

    scenes = [Scene("still", str(i)) for i in range(32)]
    clips = encode_clips(tmp_path, "all", scenes, level, CountingEncoder(), 0)  # type: ignore[arg-type]
    np.testing.assert_array_equal(clips.luma[:, :, 0, 0].reshape(-1), np.arange(256))


def test_a_clip_does_not_depend_on_how_many_are_drawn(tmp_path: Path) -> None:
    few = encode(tmp_path, "few", SCENES[:2], CountingEncoder())
    many = encode(tmp_path, "many", SCENES, CountingEncoder())
    np.testing.assert_array_equal(few.luma, many.luma[:2])


def test_brightness_alone_is_the_block_mean_of_what_is_drawn(tmp_path: Path) -> None:
    painter = Painter({"a": [cutout((220, 20, 20))]}, grey_background())
    scenes = [Scene("left", "a"), Scene("grow", "a")]
    luma = draw_luma(tmp_path, scenes, painter, seed=9)
    for i, scene in enumerate(scenes):
        frames = painter.draw(scene, random.Random(f"9/{i}")).astype(np.float64)
        grey = frames @ [0.299, 0.587, 0.114]
        expected = grey.reshape(8, 56, 4, 56, 4).mean((2, 4))
        assert np.abs(luma[i] - expected).max() <= 0.51
    np.testing.assert_array_equal(draw_luma(tmp_path, scenes, None, seed=9), luma)  # type: ignore[arg-type]


class Grids:
    """A network that gives prepared grids (n, 1280, 7, 7), whatever it is shown."""

    def __init__(self, grids: Tensor) -> None:
        self.grids, self.used = grids, 0

    def __call__(self, pixels: Tensor) -> Tensor:
        self.used += len(pixels)
        return self.grids[self.used - len(pixels) : self.used]


def test_the_projection_is_principal_components_at_unit_spread() -> None:
    rng = np.random.default_rng(0)
    spread = np.concatenate([np.geomspace(8, 1, GRID_WIDTH), np.full(1280 - GRID_WIDTH, 1e-3)])
    cells = rng.normal(size=(30 * 49, 1280)) * spread[rng.permutation(1280)] + rng.normal(size=1280)
    grids = torch.from_numpy(cells.reshape(30, 49, 1280).transpose(0, 2, 1).reshape(30, 1280, 7, 7)).float()
    mean, projection = fit_projection(Grids(grids), np.zeros((30, 8, 8, 3), np.uint8))  # type: ignore[arg-type]
    assert projection.shape == (1280, GRID_WIDTH)
    np.testing.assert_allclose(mean, cells.mean(0), atol=1e-4)
    z = (cells - mean.numpy()) @ projection.numpy()
    assert float(z.std(0).mean()) == pytest.approx(1.0, abs=1e-3)
    covariance = np.cov(z.T)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-3 * covariance.max()
    pca = PCA(GRID_WIDTH, svd_solver="covariance_eigh").fit(cells)
    ours = projection.numpy() / np.linalg.norm(projection.numpy(), axis=0)
    np.testing.assert_allclose(np.abs((pca.components_[:20] * ours.T[:20]).sum(1)), 1.0, atol=1e-3)


def test_features_are_those_of_the_modules_in_fp32_also_where_bf16_is_native(tmp_path: Path) -> None:
    torch.manual_seed(0)
    draw = torch.randn(1280, GRID_WIDTH) / 36
    classes = torch.nn.functional.normalize(torch.randn(1000, CONCEPT_WIDTH), dim=-1)
    stream = AppearanceStream(EfficientNetLite0(), torch.zeros(1280), draw, classes).eval()
    frames = np.random.default_rng(0).integers(0, 256, (5, 224, 224, 3), np.uint8)
    appearance, luma = FrameEncoder(stream, tmp_path)(frames)
    with torch.inference_mode():
        expected, brightness = (tensor.numpy() for tensor in stream(torch.from_numpy(frames)))
    for part in (slice(None, GRID_WIDTH), slice(GRID_WIDTH, None)):
        error = np.linalg.norm(appearance[..., part] - expected[..., part]) / np.linalg.norm(expected[..., part])
        assert error < 1e-3
    np.testing.assert_allclose(luma, 255 * brightness, atol=0.51)
