"""Frames of plain colours with a little noise: scenes that the toy model can tell apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
RED, GREEN, BLUE, GREY = (230, 20, 20), (20, 230, 20), (20, 20, 230), (128, 128, 128)


def picture(colour: tuple[int, int, int], seed: int = 0, size: tuple[int, int] = (32, 32)) -> Image:
    """One frame (height, width, 3) of about this colour."""
    noise = np.random.default_rng(seed).integers(-15, 16, (*size, 3))
    return np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)


def scenes(*colours: tuple[int, int, int], seconds: float = 4.0, fps: float = 4.0) -> Iterator[tuple[Image, float]]:
    """(frame, time) of one scene after the other."""
    each = round(seconds * fps)
    for index in range(each * len(colours)):
        yield picture(colours[index // each], index), index / fps
