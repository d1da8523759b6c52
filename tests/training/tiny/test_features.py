"""What is fitted to drawn clips before the run: brightness alone is what is drawn, the projection is PCA's."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.decomposition import PCA
from torch import Tensor

from tests.training.tiny.fakes import cutout, grey_background
from vljepa_edge.nn.tiny_streams import GRID_WIDTH
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.features import draw_luma, fit_projection, save_tensors
from vljepa_edge.training.tiny.scenes import Painter


def test_tensors_that_share_memory_or_have_gaps_can_be_saved(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4).requires_grad_()
    save_tensors({"whole": whole, "column": whole[:, 1], "again": whole}, tmp_path / "x.safetensors")
    found = load_file(tmp_path / "x.safetensors")
    assert set(found) == {"whole", "column", "again"} and found["column"].tolist() == [1.0, 5.0, 9.0]
    assert torch.equal(found["whole"], whole) and torch.equal(found["again"], whole)


def test_brightness_alone_is_the_block_mean_of_what_is_drawn(tmp_path: Path) -> None:
    painter = Painter({"a": [cutout((220, 20, 20))]}, grey_background())
    scenes = [Scene("left", "a"), Scene("grow", "a")]
    luma = draw_luma(tmp_path / "motion.luma.npy", scenes, painter, seed=9)
    for i, scene in enumerate(scenes):
        frames = painter.draw(scene, random.Random(f"9/{i}")).astype(np.float64)
        grey = frames @ [0.299, 0.587, 0.114]
        expected = grey.reshape(8, 56, 4, 56, 4).mean((2, 4))
        assert np.abs(luma[i] - expected).max() <= 0.51
    np.testing.assert_array_equal(draw_luma(tmp_path / "motion.luma.npy", scenes, None, seed=9), luma)  # type: ignore[arg-type]
    few = draw_luma(tmp_path / "few.luma.npy", scenes[:1], painter, seed=9)
    np.testing.assert_array_equal(few[0], luma[0])  # however many are drawn


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
