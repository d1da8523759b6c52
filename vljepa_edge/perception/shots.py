"""Hard cuts and flashes: frames with which another picture begins, so that no window needs to hold both."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CELL = 8  # pixels: one pixel of each cell is compared
_CHANGED = 24  # of 255, in any channel
# A change is the share of the picture that changed, times the cosine distance of the features. Measured a quarter of a
# second apart: cuts between photographs 0.5 to 1, between flat drawings from 0.16 on; objects that appear 0.01 to 0.1;
# a hand-held camera in traffic up to 0.58.
_LEAST = 0.15
_MOTION = 2.0  # times the largest change of the shot's last frames, where the camera or much of the picture moves
_CERTAIN = 0.6


class ShotDetector:
    """Compares each frame with the one before it and says whether a shot begins with it.

    It looks for a change of most of the picture that is larger than the motion before it. It is not meant to find
    dissolves, or objects that come and go: there the window that holds both shows the change. Memory is bounded.
    """

    def __init__(self, frames: int) -> None:
        """frames: how many changes back the motion of a shot is looked at."""
        self._before: tuple[NDArray[np.int16], dict[str, NDArray[np.float32]]] | None = None
        self._changes: deque[float] = deque(maxlen=frames)

    def begins(self, frame: NDArray[np.uint8], features: Mapping[str, NDArray[Any]]) -> bool:
        """Whether a shot begins with this frame, uint8 (H, W, 3), with its features (see Vision.encode_frame).

        Not with the first frame.
        """
        pixels = frame[_CELL // 2 :: _CELL, _CELL // 2 :: _CELL].astype(np.int16)
        rows = {name: feature.ravel().astype(np.float32) for name, feature in features.items()}
        before, self._before = self._before, (pixels, rows)
        if before is None:
            return False
        changed = float((np.abs(pixels - before[0]).max(-1) > _CHANGED).mean())
        change = changed * max((_distance(row, before[1][name]) for name, row in rows.items()), default=0.0)
        if change >= min(_CERTAIN, _LEAST + _MOTION * max(self._changes, default=0.0)):
            return True
        self._changes.append(change)
        return False

    def clear(self) -> None:
        """Forget the frames."""
        self._before = None
        self._changes.clear()


def _distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Cosine distance, 0 to 2; 0 where either has no direction."""
    norms = float(np.sqrt(float(a @ a) * float(b @ b)))
    return 1.0 - float(a @ b) / norms if norms > 0.0 and np.isfinite(norms) else 0.0
