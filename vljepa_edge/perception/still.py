"""Still scenes: frames that are as the one encoded before, so that they need no encoding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vljepa_edge.perception.vision import Features

_SPARSE = 16  # pixels: one row of so many is compared first, as most frames of a moving scene differ there
# Pixels: the side of a block. The noise of a sensor, 5 levels of a pixel, moves the mean of 64 of them by half a level.
_BLOCK = 8
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class Still:
    """The newest frame that was encoded and what it was encoded to.

    Frames are compared with that one, not with the one before, so that a slow fade or pan adds up until it counts.

    longest: seconds for which what it was encoded to is given again; then the frame is to be encoded again. 0: nothing
    is compared. levels: of 255, by which the mean luma of a block of 8 x 8 pixels may differ; 0: no pixel may differ.
    """

    def __init__(self, longest: float, levels: float = 0.0) -> None:
        self._longest = longest
        self._levels = levels
        self._frame: NDArray[np.uint8] | None = None
        self._blocks: NDArray[np.float32] | None = None
        self._since = -math.inf
        self._encoded: Features | None = None

    def own(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A frame to keep: a copy where it will be compared, as whoever gave it may write the next into its memory."""
        return frame.copy() if self._longest > 0 else frame

    def keep(self, frame: NDArray[np.uint8], time: float, encoded: Features) -> None:
        """The newest frame, of `own`, and what it was encoded to."""
        self._frame, self._since, self._encoded = frame, time, encoded
        self._blocks = block_luma(frame) if self._levels > 0 and self._longest > 0 else None

    def is_repeated(self, frame: NDArray[np.uint8]) -> bool:
        """Whether a frame is as the one that was encoded."""
        before = self._frame
        if before is None or self._longest <= 0 or before.shape != frame.shape:
            return False
        if self._blocks is not None:
            return float(np.abs(block_luma(frame) - self._blocks).max()) <= self._levels
        return np.array_equal(before[::_SPARSE], frame[::_SPARSE]) and np.array_equal(before, frame)

    def encoded(self, time: float) -> Features | None:
        """What the newest frame was encoded to; None where that was too long before `time`."""
        return self._encoded if 0 <= time - self._since <= self._longest else None

    def forget(self) -> None:
        """The next frame repeats none."""
        self._frame, self._blocks, self._since, self._encoded = None, None, -math.inf, None


def block_luma(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The mean luma of each block of 8 x 8 pixels of a frame (H, W, 3), without what is left at the right and below."""
    high, wide = min(_BLOCK, frame.shape[0]), min(_BLOCK, frame.shape[1])
    rows, columns = frame.shape[0] // high, frame.shape[1] // wide
    sums = frame[: rows * high].reshape(rows, high, -1).sum(1, dtype=np.uint16).reshape(rows, -1, 3)
    blocks = sums[:, : columns * wide].reshape(rows, columns, wide, 3).sum(2, dtype=np.float32)
    means: NDArray[np.float32] = blocks @ (_LUMA / (high * wide))
    return means
