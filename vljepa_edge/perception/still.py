"""Still scenes: frames that repeat the one before, pixel for pixel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vljepa_edge.perception.vision import Features

_SPARSE = 16  # pixels: one row of so many is compared first, as most frames of a moving scene differ there


class Repeats:
    """The newest frame and what it was encoded to, so that one that is equal in every pixel needs no encoding.

    `longest`: seconds for which that holds; then the frame is to be encoded again. 0: nothing is compared.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._frame: NDArray[np.uint8] | None = None
        self._since = -math.inf
        self._encoded: Features | None = None

    def own(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A frame to keep: a copy where it will be compared, as whoever gave it may write the next into its memory."""
        return frame.copy() if self._longest > 0 else frame

    def keep(self, frame: NDArray[np.uint8], time: float, encoded: Features) -> None:
        """The newest frame, of `own`, and what it was encoded to."""
        self._frame, self._since, self._encoded = frame, time, encoded

    def is_repeated(self, frame: NDArray[np.uint8]) -> bool:
        """Whether a frame is equal to the newest."""
        before = self._frame
        if before is None or self._longest <= 0 or before.shape != frame.shape:
            return False
        return np.array_equal(before[::_SPARSE], frame[::_SPARSE]) and np.array_equal(before, frame)

    def encoded(self, time: float) -> Features | None:
        """What the newest frame was encoded to; None where that was too long before `time`."""
        return self._encoded if 0 <= time - self._since <= self._longest else None

    def forget(self) -> None:
        """The next frame repeats none."""
        self._frame, self._since, self._encoded = None, -math.inf, None
