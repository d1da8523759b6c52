"""Drawn clips as lossless videos, for what reads files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from vljepa_edge.training.tiny.scenes import FPS


def write_clip(path: Path, frames: NDArray[np.uint8]) -> Path:
    """FFV1 at FPS frames a second; frames (n, height, width, 3) RGB. Returns `path`, an .mkv."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(FPS))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format="bgr0")))
        container.mux(stream.encode(None))
    return path
