"""Hard cuts and flashes: frames with which another picture begins, so that no window needs to hold both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge import _core


class ShotDetector:
    """Compares each frame with the one before it and says whether a shot begins with it.

    It looks for a change of most of the picture that is larger than the motion before it. It is not meant to find
    dissolves, or objects that come and go: there the window that holds both shows the change. Memory is bounded.
    """

    def __init__(self, frames: int) -> None:
        """frames: how many changes back the motion of a shot is looked at."""
        self._shots = _core.ShotDetector(frames)

    def begins(self, frame: NDArray[np.uint8], features: Mapping[str, NDArray[Any]]) -> bool:
        """Whether a shot begins with this frame, uint8 (H, W, 3), with its features (see Vision.encode_frame).

        Not with the first frame.
        """
        rows = [np.ascontiguousarray(features[name], np.float32) for name in sorted(features)]
        return self._shots.begins(frame, rows)

    def clear(self) -> None:
        """Forget the frames."""
        self._shots.clear()
