"""What travels through this package: pictures as decoded, frames as the model wants them, and the counters."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from vljepa_edge.video.orientation import UPRIGHT, Turn

Image: TypeAlias = NDArray[np.uint8]

# 16384 x 8192. More than any camera gives, little enough that a lying header can't exhaust the memory.
MAX_PIXELS = 2**27


class Frame(NamedTuple):
    """One frame: `image` uint8 RGB (height, width, 3), `time` in seconds."""

    image: Image
    time: float


class Picture(NamedTuple):
    """A frame before conversion and scaling.

    `aspect` is the width of one pixel divided by its height, before the picture is turned as `turn` says.
    """

    pixels: av.VideoFrame | Image
    time: float
    aspect: float = 1.0
    turn: Turn = UPRIGHT


Pictures: TypeAlias = Generator[Picture, None, None]


@dataclass
class SourceStats:
    """What a source has met so far. Nothing counted here ends a stream."""

    frames_decoded: int = 0
    frames_yielded: int = 0
    dropped: int = 0
    """Live sources: frames replaced by a newer one before the consumer took them."""
    reconnects: int = 0
    bad_timestamps: int = 0
    """Stamps that were missing, repeated, not finite, or went backwards; of live sources, any that was not believed."""
    corrupt: int = 0
    """Signs of damage: packets or frames marked as such, packets that don't decode, frames that can't be converted."""
    missing: float = 0.0
    """Seconds that a file promises and does not hold, as one that was cut off; known when it is read to its end."""
    epoch_ns: int | None = None
    """Nanoseconds from 1970 to second 0, where a recording says so, as a bag does; known from its first frame on."""
