"""Draw clips and run the frozen appearance stream over them once; everything after reads these arrays.

The frames go through the very graph that ships, on the engine that runs it, so training sees what the device sees. What
comes out is kept in a cache by the weights, the clip's name and its scene; encoding that was broken off goes on.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from vljepa_edge.nn.digest import digest_of
from vljepa_edge.nn.efficientnet import EfficientNetLite0
from vljepa_edge.nn.tiny_streams import CONCEPT_WIDTH, GRID_WIDTH, LUMA_SIZE, REGIONS, AppearanceStream
from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.data.cache import FeatureCache
from vljepa_edge.training.data.sample import FramePlan, Sample
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.scenes import FRAMES, SIZE, Painter

_BATCH = 4
_KEPT = 128  # clips that are written together
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
    digest: names its weights.
    """

    def __init__(self, stream: AppearanceStream, folder: Path) -> None:
        from vljepa_edge.export.pytorch.trace import export_module
        from vljepa_edge.support.quiet_openvino import shared_core

        self.digest = digest_of(stream)
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


def drawn(draw: Draw, scenes: Sequence[Scene], seed: int) -> Callable[[int], NDArray[np.uint8]]:
    """What gives the frames of clip i, the same in any order."""
    return lambda i: draw(scenes[i], random.Random(f"{seed}/{i}"))


def encode_clips(
    folder: Path,
    name: str,
    scenes: Sequence[Scene],
    frames_of: Callable[[int], NDArray[np.uint8]],
    encoder: FrameEncoder,
    seed: int,
) -> Clips:
    """Draw and encode clips, but for those that the cache in `folder` has. Repeated frames are encoded once.

    frames_of: the frames of clip i, which the name, the seed and its scene decide.
    """
    cache = FeatureCache(folder / "features", encoder.digest, FramePlan(FRAMES, SIZE, SIZE))
    samples = [Sample(f"{i}", f"{name}/{seed}/{i}/{scene}", "") for i, scene in enumerate(scenes)]
    missing = [i for i, sample in enumerate(samples) if sample not in cache]
    shown = track(missing, f"drawing and encoding {len(missing)} {name} clips", disable=not missing)
    waiting: list[int] = []
    for i in shown:
        waiting.append(i)
        if len(waiting) == _KEPT or i == missing[-1]:
            made, light = _encode(map(frames_of, waiting), encoder)
            cache.write([cache.key(samples[k]) for k in waiting], {"appearance": made, "luma": light / np.float32(255)})
            waiting = []
    cache.reload()
    appearance = np.empty((len(samples), FRAMES, REGIONS, WIDTH), np.float16)
    luma = np.empty((len(samples), FRAMES, LUMA_SIZE, LUMA_SIZE), np.uint8)
    for i, sample in enumerate(samples):
        kept = cache.read(sample)
        appearance[i], luma[i] = kept["appearance"], np.rint(kept["luma"].astype(np.float32) * 255.0)
    return Clips(appearance, luma, list(scenes))


def _encode(clips: Iterable[NDArray[np.uint8]], encoder: FrameEncoder) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
    """appearance (n, 8, 10, 640) and luma (n, 8, 56, 56); a frame that is the one before it is encoded with it."""
    made: list[tuple[NDArray[np.float16], NDArray[np.uint8]]] = []
    pending: list[NDArray[np.uint8]] = []
    rows: list[list[int]] = []
    count = 0
    for frames in clips:
        rows.append([])
        for t, frame in enumerate(frames):
            if t == 0 or not np.array_equal(frame, frames[t - 1]):
                pending.append(frame)
                count += 1
            rows[-1].append(count - 1)
            if len(pending) == _BATCH:
                made.append(encoder(np.stack(pending)))
                pending = []
    if pending:
        made.append(encoder(np.stack(pending)))
    appearance, luma = (np.concatenate(parts)[rows] for parts in zip(*made, strict=True))
    return appearance, luma


def draw_luma(folder: Path, scenes: Sequence[Scene], painter: Painter, seed: int) -> NDArray[np.uint8]:
    """Brightness alone, (n, 8, 56, 56): cheap clips for the motion stem."""
    file = folder / "motion.luma.npy"
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
