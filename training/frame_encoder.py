"""What a frozen X-encoder makes of clips: on a CPU through OpenVINO where its frames stand alone, else in PyTorch.

OpenVINO takes a tenth of PyTorch's time for the convolutions of a small image network. Everything is in fp32: bf16
moves the features of a frame by 5 %, in each frame differently, and motions are learnt worse from them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vljepa_edge.nn.tiny_streams import SIZE, AppearanceStream, TinyStreams, check_frames
from vljepa_edge.nn.x_encoder import XEncoder

_BATCH = 4  # frames at once: few enough for the caches of a CPU to hold their activations


def frozen_encoder(encoder: XEncoder | TinyStreams, device: torch.device) -> Callable[[Tensor], Mapping[str, Tensor]]:
    """Clips, uint8 (B, T, H, W, 3) on the CPU, to what the encoder's frozen part makes of them, (B, ...) by name."""
    if isinstance(encoder, TinyStreams) and device.type == "cpu":
        return FrameEncoder(encoder.appearance, encoder.config.window)
    return lambda clips: encoder.encode_frozen(clips.to(device))


class FrameEncoder:
    """The appearance stream of the default's X-encoder, by the graph that ships and the engine that runs it, so that
    training sees what a device sees. A frame that is the one before it is encoded with it: an image costs one frame."""

    def __init__(self, stream: AppearanceStream, window: int) -> None:
        """window: frames of a clip, which an image is repeated to fill."""
        from vljepa_edge.export.pytorch.trace import export_module
        from vljepa_edge.support.quiet_openvino import shared_core

        self._window = window
        frames = torch.zeros(_BATCH, SIZE, SIZE, 3, dtype=torch.uint8)
        graph = export_module(stream, {"frame": frames}, ("appearance", "luma"))
        core = shared_core()
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32",
                   "INFERENCE_NUM_THREADS": os.cpu_count() or 1}  # fmt: skip
        self._request = core.compile_model(core.read_model(graph), "CPU", options).create_infer_request()

    def __call__(self, clips: Tensor) -> dict[str, Tensor]:
        """uint8 (B, T, 224, 224, 3), T being the window or 1 -> appearance (B, window, 10, grid + concept), luma
        (B, window, 56, 56) in 0 to 1. Raises InputError for other frames."""
        check_frames(clips, self._window)
        frames = clips.flatten(0, 1).numpy()
        new = np.array([i == 0 or not np.array_equal(frames[i], frames[i - 1]) for i in range(len(frames))])
        appearance, luma = self.encode(frames[new])
        rows = np.cumsum(new) - 1
        rows = rows.reshape(clips.shape[:2])
        if clips.shape[1] == 1:
            rows = np.repeat(rows, self._window, 1)
        return {"appearance": torch.from_numpy(appearance[rows]), "luma": torch.from_numpy(luma[rows])}

    def encode(self, frames: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(n, 224, 224, 3) -> appearance (n, 10, 640), luma (n, 56, 56) in 0 to 1."""
        made = [self._encode(frames[start : start + _BATCH]) for start in range(0, len(frames), _BATCH)]
        return np.concatenate([appearance for appearance, _ in made]), np.concatenate([luma for _, luma in made])

    def _encode(self, frames: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        count = len(frames)
        if count < _BATCH:
            frames = np.concatenate([frames, np.zeros((_BATCH - count, SIZE, SIZE, 3), np.uint8)])
        self._request.infer([np.ascontiguousarray(frames)])
        appearance, luma = (self._request.get_output_tensor(i).data[:count].copy() for i in range(2))
        return appearance, luma
