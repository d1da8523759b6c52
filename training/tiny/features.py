"""Draw clips and run the frozen appearance stream over them once; everything after reads these arrays.

The frames go through the very graph that ships, on the engine that runs it, so training sees what the device sees.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from vljepa_edge.nn.efficientnet import EfficientNetLite0
from vljepa_edge.nn.tiny_streams import CONCEPT_WIDTH, GRID_WIDTH, LUMA_SIZE, REGIONS, AppearanceStream
from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.scenes import FRAMES, SIZE, Painter

_BATCH = 4
WIDTH = GRID_WIDTH + CONCEPT_WIDTH


@dataclass(frozen=True)
class Clips:
    """Cached clips: appearance (n, 8, 10, 640) fp16, luma (n, 8, 56, 56) uint8, and what each shows."""

    appearance: NDArray[np.float16]
    luma: NDArray[np.uint8]
    scenes: list[Scene]

    def __len__(self) -> int:
        return len(self.scenes)


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


class FrameEncoder:
    """The appearance stream on OpenVINO, four frames at a time: few enough for the caches to hold their activations.

    In fp32 everywhere: bf16 moves the grid features by 5 %, differently in each frame, and motions are learnt worse.
    """

    def __init__(self, stream: AppearanceStream, folder: Path) -> None:
        from vljepa_edge.export.pytorch.trace import export_module
        from vljepa_edge.support.quiet_openvino import shared_core

        graph = export_module(
            stream, {"frame": torch.zeros(_BATCH, SIZE, SIZE, 3, dtype=torch.uint8)}, ("appearance", "luma")
        )
        (folder / "appearance_batch.onnx").write_bytes(graph)
        core = shared_core()
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32",
                   "INFERENCE_NUM_THREADS": os.cpu_count() or 1}  # fmt: skip
        self._request = core.compile_model(core.read_model(graph), "CPU", options).create_infer_request()

    def __call__(self, frames: NDArray[np.uint8]) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
        """(n, 224, 224, 3) -> appearance (n, 10, 640), luma (n, 56, 56)."""
        made = [self._encode(frames[start : start + _BATCH]) for start in range(0, len(frames), _BATCH)]
        return np.concatenate([appearance for appearance, _ in made]), np.concatenate([luma for _, luma in made])

    def _encode(self, frames: NDArray[np.uint8]) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
        count = len(frames)
        if count < _BATCH:
            frames = np.concatenate([frames, np.zeros((_BATCH - count, SIZE, SIZE, 3), np.uint8)])
        self._request.infer([np.ascontiguousarray(frames)])
        appearance = self._request.get_output_tensor(0).data[:count].astype(np.float16)
        luma = np.rint(self._request.get_output_tensor(1).data[:count] * 255.0).astype(np.uint8)
        return appearance, luma


Draw = Callable[[Scene, random.Random], NDArray[np.uint8]]


def encode_clips(
    folder: Path, name: str, scenes: Sequence[Scene], draw: Draw, encoder: FrameEncoder, seed: int
) -> Clips:
    """Draw and encode clips, or load them if that was done before. Repeated frames are encoded once."""
    files = [folder / f"{name}.{part}" for part in ("appearance.npy", "luma.npy", "scenes.json")]
    if not files[2].exists():
        n = len(scenes)
        appearance = np.lib.format.open_memmap(files[0], "w+", np.float16, (n, FRAMES, REGIONS, WIDTH))
        luma = np.lib.format.open_memmap(files[1], "w+", np.uint8, (n, FRAMES, LUMA_SIZE, LUMA_SIZE))
        pending: list[tuple[NDArray[np.uint8], list[tuple[int, int]]]] = []

        def flush() -> None:
            if pending:
                made, light = encoder(np.stack([frame for frame, _ in pending]))
                for i, (_, places) in enumerate(pending):
                    for clip, t in places:
                        appearance[clip, t], luma[clip, t] = made[i], light[i]
                pending.clear()

        for clip, frames in track(_drawn(scenes, draw, seed), f"drawing and encoding {n} {name} clips", total=n):
            for t, frame in enumerate(frames):
                if t and np.array_equal(frame, frames[t - 1]):
                    pending[-1][1].append((clip, t))
                    continue
                if len(pending) == _BATCH:
                    flush()
                pending.append((frame, [(clip, t)]))
        flush()
        appearance.flush()
        luma.flush()
        with replacing(files[2]) as part:
            part.write_text(json.dumps([asdict(scene) for scene in scenes]))
    kept = [Scene(**entry) for entry in json.loads(files[2].read_text())]
    return Clips(np.load(files[0]), np.load(files[1]), kept)


def _drawn(scenes: Sequence[Scene], draw: Draw, seed: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for i, scene in enumerate(scenes):
        yield i, draw(scene, random.Random(f"{seed}/{i}"))


def draw_luma(folder: Path, scenes: Sequence[Scene], painter: Painter, seed: int) -> NDArray[np.uint8]:
    """Brightness alone, (n, 8, 56, 56): cheap clips for the motion stem."""
    file = folder / "motion.luma.npy"
    if not file.exists():
        out = np.empty((len(scenes), FRAMES, LUMA_SIZE, LUMA_SIZE), np.uint8)
        for i, frames in track(
            _drawn(scenes, painter.draw, seed), f"drawing {len(scenes)} clips for the motion stem", total=len(scenes)
        ):
            out[i] = _small_luma(frames)
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
