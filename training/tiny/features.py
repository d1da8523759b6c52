"""What is fitted to drawn clips before the run: the projection of image features; and clips of brightness alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from safetensors.torch import save_file
from torch import Tensor

from vljepa_edge.nn.efficientnet import EfficientNetLite0
from vljepa_edge.nn.tiny_streams import GRID_WIDTH, LUMA_SIZE
from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.scenes import FRAMES, SIZE, Painter

_BATCH = 4


def save_tensors(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Write a safetensors file; one that is there already stays complete until the new one is."""
    with replacing(file) as part:
        save_file({name: value.detach().contiguous().clone() for name, value in tensors.items()}, part)


def fit_projection(net: EfficientNetLite0, frames: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (1280,) and principal directions (1280, 256) of grid features, scaled so that the average direction has unit
    spread.

    frames (n, 224, 224, 3).
    """
    cells = []
    with torch.inference_mode():
        for part in np.array_split(frames, max(1, len(frames) // _BATCH)):
            grid = net(torch.from_numpy(part).permute(0, 3, 1, 2).float())
            cells.append(grid.float().flatten(2).transpose(1, 2).flatten(0, 1))
    x = torch.cat(cells)
    mean = x.mean(0)
    _, spread, directions = torch.linalg.svd(torch.cov((x - mean).T))
    scale = spread[:GRID_WIDTH].sqrt().mean()
    return mean, (directions[:GRID_WIDTH].T / scale).contiguous()


Draw = Callable[[Scene, random.Random], NDArray[np.uint8]]


def drawn(draw: Draw, scenes: Sequence[Scene], seed: int) -> Callable[[int], NDArray[np.uint8]]:
    """What gives the frames of clip i, the same in any order."""
    return lambda i: draw(scenes[i], random.Random(f"{seed}/{i}"))


def draw_luma(file: Path, scenes: Sequence[Scene], painter: Painter, seed: int) -> NDArray[np.uint8]:
    """Brightness alone, (n, 8, 56, 56), kept in a file: cheap clips for the motion stem."""
    if not file.exists():
        out = np.empty((len(scenes), FRAMES, LUMA_SIZE, LUMA_SIZE), np.uint8)
        frames_of = drawn(painter.draw, scenes, seed)
        for i in track(range(len(scenes)), f"drawing {len(scenes)} clips for the motion stem"):
            out[i] = _small_luma(frames_of(i))
        with replacing(file) as part:
            np.save(part, out)
    return np.load(file)  # type: ignore[no-any-return]


def _small_luma(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, 224, 224, 3) -> (n, 56, 56): mean of each cell's brightness. Cells are summed a pixel at a time: a mean over
    two short axes is ten times slower in NumPy."""
    cell = SIZE // LUMA_SIZE
    total = np.zeros((len(frames), LUMA_SIZE, LUMA_SIZE, 3), np.uint16)
    for row in range(cell):
        for column in range(cell):
            total += frames[:, row::cell, column::cell]
    brightness = total.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.rint(brightness / cell**2).astype(np.uint8)
