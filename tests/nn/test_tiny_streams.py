"""The tiny X-encoder's streams: ConSE, regions and brightness against numpy; a motion stem that sees direction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from vljepa_edge.nn.tiny_streams import (
    CONCEPT_WIDTH,
    CONSE_CLASSES,
    CONSE_TEMPERATURE,
    GRID_WIDTH,
    REGIONS,
    AppearanceStream,
    MotionStem,
    region_features,
)

WINDOWS = [(slice(r, r + 3), slice(c, c + 3)) for r in (0, 2, 4) for c in (0, 2, 4)]


class Grid(nn.Module):
    """In place of EfficientNet: a grid of 7 x 7 block means of the frame's colours, mixed into 1280 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 1280, 1)
        self.classify = nn.Linear(1280, 1000)

    def forward(self, pixels: Tensor) -> Tensor:
        found: Tensor = self.mix(F.avg_pool2d(pixels / 255, 32))
        return found


def stream(seed: int = 0) -> AppearanceStream:
    torch.manual_seed(seed)
    net = Grid()
    nn.init.normal_(net.classify.weight, std=0.3)
    classes = F.normalize(torch.randn(1000, CONCEPT_WIDTH), dim=-1)
    return AppearanceStream(net, torch.randn(1280), torch.randn(1280, GRID_WIDTH), classes)  # type: ignore[arg-type]


def frames(count: int = 2) -> NDArray[np.uint8]:
    """Random blocks, so that regions differ."""
    blocks = np.random.default_rng(0).integers(0, 256, (count, 28, 28, 3), np.uint8)
    return np.ascontiguousarray(blocks.repeat(8, 1).repeat(8, 2))


def run(made: AppearanceStream, given: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    with torch.inference_mode():
        appearance, luma = made(torch.from_numpy(given))
    return appearance.numpy(), luma.numpy()


def test_shapes_and_ranges() -> None:
    appearance, luma = run(stream(), frames(3))
    assert appearance.shape == (3, REGIONS, GRID_WIDTH + CONCEPT_WIDTH) == (3, 10, 640)
    assert luma.shape == (3, 56, 56) and 0 <= luma.min() < luma.max() <= 1
    for level in (0, 255):
        flat = run(stream(), np.full((1, 224, 224, 3), level, np.uint8))[1]
        np.testing.assert_allclose(flat, level / 255, atol=1e-6)


def test_regions_are_the_frame_and_nine_windows() -> None:
    grid = torch.randn(2, 5, 7, 7, dtype=torch.float64)
    expected = np.stack(
        [grid.numpy().mean((2, 3)), *(grid.numpy()[:, :, rows, columns].mean((2, 3)) for rows, columns in WINDOWS)], 1
    )
    np.testing.assert_allclose(region_features(grid), expected, rtol=1e-12)


def test_appearance_is_the_projected_regions_and_their_concepts() -> None:
    made, given = stream(), frames()
    found = run(made, given)[0]
    cells = given.reshape(2, 7, 32, 7, 32, 3).mean((2, 4)) / 255.0
    mix, bias = made.net.mix.weight[:, :, 0, 0].detach().numpy(), made.net.mix.bias.detach().numpy()  # type: ignore
    grid = cells @ mix.T.astype(np.float64) + bias
    whole = [grid.mean((1, 2)), *(grid[:, rows, columns].mean((1, 2)) for rows, columns in WINDOWS)]
    regions = np.stack(whole, 1)
    expected = (regions - made.mean.numpy()) @ made.projection.numpy()
    np.testing.assert_allclose(found[..., :GRID_WIDTH], expected, rtol=1e-3, atol=1e-3)
    logits = regions @ made.net.classify.weight.detach().numpy().T + made.net.classify.bias.detach().numpy()
    np.testing.assert_allclose(found[..., GRID_WIDTH:], conse(logits, made.class_embeddings.numpy()), atol=1e-3)


def conse(logits: NDArray[np.float64], classes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Norouzi et al. 2013: the likeliest classes' embeddings, weighted by their (softened) probabilities."""
    flat = logits.reshape(-1, logits.shape[-1]).astype(np.float64)
    out = np.empty((len(flat), classes.shape[1]))
    for i, row in enumerate(flat):
        probability = np.exp((row - row.max()) / CONSE_TEMPERATURE)
        probability /= probability.sum()
        best = np.argsort(-probability)[:CONSE_CLASSES]
        out[i] = (probability[best] / probability[best].sum()) @ classes[best]
    return out.reshape(*logits.shape[:-1], -1)


@pytest.mark.parametrize("sharpness", [0.1, 3.0, 1000.0])
def test_conse(sharpness: float) -> None:
    made = stream()
    logits = sharpness * torch.randn(2, 4, 1000)
    found = made.conse(logits).numpy()
    np.testing.assert_allclose(found, conse(logits.numpy(), made.class_embeddings.numpy()), atol=1e-5)
    if sharpness == 1000.0:  # sure of one class: its embedding
        np.testing.assert_allclose(found, made.class_embeddings[logits.argmax(-1)].numpy(), atol=2e-3)


def test_the_length_of_a_concept_says_how_sure_the_classifier_is() -> None:
    made, logits = stream(), torch.randn(1, 1000)
    lengths = [float(made.conse(sharpness * logits).norm()) for sharpness in (0.5, 2.0, 8.0)]
    assert lengths == sorted(lengths) and lengths[2] > 1.5 * lengths[0]


def test_luma_is_the_block_mean_of_pillows_grey() -> None:
    given = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3), np.uint8)
    luma = run(stream(), given)[1]
    for frame, found in zip(given, luma, strict=True):
        grey = np.asarray(Image.fromarray(frame).convert("L"), np.float64)
        expected = grey.reshape(56, 4, 56, 4).mean((1, 3))
        assert np.abs(255 * found - expected).max() < 0.51  # Pillow rounds each pixel


def test_a_frame_does_not_depend_on_its_batch() -> None:
    made, given = stream(), frames(3)
    together, alone = run(made, given), run(made, given[1:2])
    for whole, one in zip(together, alone, strict=True):
        np.testing.assert_allclose(whole[1:2], one, rtol=1e-4, atol=1e-5)


def sliding(dx: int, dy: int = 0) -> Tensor:
    """(1, 8, 56, 56): a bright square that moves dx, dy cells a frame."""
    clip = torch.full((1, 8, 56, 56), 0.2)
    for t in range(8):
        left, top = 24 + dx * (t - 3), 24 + dy * (t - 3)
        clip[0, t, top : top + 8, left : left + 8] = 0.9
    return clip


def motion(clip: Tensor, width: int = 8) -> Tensor:
    torch.manual_seed(0)
    with torch.inference_mode():
        found: Tensor = MotionStem(width).eval()(clip)
    return found


@pytest.mark.parametrize("width", [4, 32])
def test_motion_tokens(width: int) -> None:
    stem = MotionStem(width)
    found = motion(torch.rand(3, 8, 56, 56), width)
    assert found.shape == (3, stem.tokens, stem.width) == (3, 16, 4 * width)
    assert bool(torch.isfinite(found).all())


def test_the_sign_of_motion_is_seen() -> None:
    left, right, up, still = motion(sliding(-3)), motion(sliding(3)), motion(sliding(0, -3)), motion(sliding(0))
    for one, other in ((left, right), (left, up), (right, still)):
        assert float((one - other).norm() / one.norm()) > 0.05
    backwards = motion(sliding(3).flip(1))
    assert float((backwards - right).norm() / right.norm()) > 0.05


def test_moments_differ_where_something_moves() -> None:
    still, moving = (motion(sliding(dx)).reshape(4, 4, -1) for dx in (0, 3))  # moments, places, channels
    assert float((moving[1] - moving[2]).norm()) > 3 * float((still[1] - still[2]).norm())


def test_the_level_of_light_does_not_matter() -> None:
    clip = sliding(2)
    torch.testing.assert_close(motion(clip + 0.1), motion(clip), rtol=1e-3, atol=1e-4)


def test_clips_do_not_see_each_other() -> None:
    clips = torch.cat([sliding(-3), sliding(3)])
    torch.testing.assert_close(motion(clips)[1:], motion(clips[1:]), rtol=1e-4, atol=1e-5)
