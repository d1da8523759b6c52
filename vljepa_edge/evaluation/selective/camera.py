"""What a camera does to what is before it: it shakes, and light drifts, flickers and jumps. Three levels of noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIZE, MARGIN = 224, 24
SIDE = SIZE + 2 * MARGIN
"""Pixels of a picture that a camera looks at, of which it sees SIZE in each direction."""
_MAINS = 100.0  # Hz: lamps on mains of 50 Hz brighten twice a period
_BANDS = 1.6  # periods of the flicker that a frame shows from top to bottom, as its rows are exposed in turn
_SETTLING = 1.5  # seconds that the exposure needs to come back after a jump


@dataclass(frozen=True)
class Noise:
    """shake: pixels (standard deviation). drift, flicker: shares of the light. jumps: of the exposure, a minute.
    grain: of a pixel, of 255 (standard deviation)."""

    shake: float
    drift: float
    flicker: float
    jumps: float
    grain: float


LEVELS = {
    "low": Noise(shake=1.0, drift=0.04, flicker=0.02, jumps=0.5, grain=2.0),
    "middle": Noise(shake=3.5, drift=0.12, flicker=0.06, jumps=2.0, grain=10.0),
    "high": Noise(shake=8.0, drift=0.25, flicker=0.15, jumps=5.0, grain=28.0),
}


class Camera:
    """The camera of one stream of `count` frames; the same one for a seed, and another for tuning."""

    def __init__(self, noise: Noise, seed: int, count: int, fps: float, *, tuning: bool = False) -> None:
        self._noise, self._rng = noise, np.random.default_rng([seed, 77, *([1] if tuning else [])])
        times = np.arange(count) / fps
        self._shake = noise.shake * _wander(self._rng, count, 0.4 * fps, 2)
        self._light = np.exp(noise.drift * _wander(self._rng, count, 20 * fps, 1)[:, 0])
        self._tint = np.exp(0.4 * noise.drift * _wander(self._rng, count, 30 * fps, 3))
        for jump in np.flatnonzero(self._rng.random(count) < noise.jumps / 60 / fps):
            height = self._rng.choice([-1, 1]) * self._rng.uniform(0.3, 0.8)
            self._light[jump:] *= np.exp(height * np.exp(-(times[jump:] - times[jump]) / _SETTLING))
        mains = _MAINS + self._rng.normal(0, 0.05)
        phases = mains * times[:, None] + np.linspace(0, _BANDS, SIZE)
        self._flicker = 1 + noise.flicker * np.sin(2 * np.pi * phases)

    def look(
        self, number: int, picture: NDArray[np.float32], offset: tuple[float, float], still: bool
    ) -> NDArray[np.uint8]:
        """Frame `number`, (SIZE, SIZE, 3), of a picture (SIDE, SIDE, 3) whose middle it is `offset` pixels from.

        still: the camera stands. Frames must be asked for in their order, for the grain.
        """
        moved = np.asarray(offset) + (0.0 if still else self._shake[number])
        x, y = np.clip(MARGIN + moved, 0, 2 * MARGIN - 1e-3)
        seen = _window(picture, float(x), float(y))
        seen = seen * (self._light[number] * self._flicker[number])[:, None, None].astype(np.float32)
        seen *= self._tint[number].astype(np.float32)
        seen += self._noise.grain * self._rng.standard_normal(seen.shape, np.float32)
        frame: NDArray[np.uint8] = np.clip(seen + 0.5, 0, 255).astype(np.uint8)
        return frame


def _wander(rng: np.random.Generator, count: int, memory: float, width: int) -> NDArray[np.float64]:
    """[count, width]: noise of variance 1 that forgets within `memory` frames."""
    keep = np.exp(-1 / memory)
    steps = rng.normal(size=(count, width))
    found = np.empty_like(steps)
    found[0] = steps[0]
    for k in range(1, count):
        found[k] = keep * found[k - 1] + np.sqrt(1 - keep**2) * steps[k]
    return found


def _window(picture: NDArray[np.float32], x: float, y: float) -> NDArray[np.float32]:
    """The window whose corner is at (x, y), between pixels too."""
    left, top = int(x), int(y)
    right, down = np.float32(x - left), np.float32(y - top)
    rows = picture[top : top + SIZE + 1, left : left + SIZE + 1]
    mixed = rows[:-1] + down * (rows[1:] - rows[:-1])
    seen: NDArray[np.float32] = mixed[:, :-1] + right * (mixed[:, 1:] - mixed[:, :-1])
    return seen
