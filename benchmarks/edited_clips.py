"""Events drawn into real clips: what a camera of one's own meets, at places, times and strengths that differ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Clip = NDArray[np.uint8]  # (T, height, width, 3)
NOTHING = "nothing"


def _ramp(count: int, begin: float, length: float) -> NDArray[np.float64]:
    """0 before frame `begin`, 1 from `begin` + `length` frames on, (T, 1, 1, 1)."""
    return np.clip((np.arange(count) - begin) / max(length, 1e-6), 0, 1)[:, None, None, None]


def _pixels(clip: NDArray[np.float64]) -> Clip:
    return np.clip(np.rint(clip), 0, 255).astype(np.uint8)


def _mask(shape: tuple[int, int], centre: tuple[float, float], radius: tuple[float, float]) -> NDArray[np.float64]:
    """An ellipse with a soft edge, (height, width, 1); centre and radius as shares of the picture, (y, x)."""
    y, x = (np.linspace(0, 1, size) for size in shape)
    away = np.hypot((y[:, None] - centre[0]) / radius[0], (x[None] - centre[1]) / radius[1])
    return np.asarray(np.clip((1.1 - away) / 0.2, 0, 1)[..., None])


def _lights(clip: Clip, rng: np.random.Generator, *, off: bool) -> Clip:
    dark = rng.uniform(0.12, 0.35) * np.array([1, rng.uniform(0.9, 1), rng.uniform(0.85, 1.1)])
    share = _ramp(len(clip), rng.uniform(2, 5), rng.uniform(0.1, 1.5))
    share = share if off else 1 - share
    return _pixels(clip * (1 - share + share * dark))


def lights_off(clip: Clip, other: Clip, rng: np.random.Generator) -> Clip:
    """It gets dark, at once or within half a second."""
    return _lights(clip, rng, off=True)


def lights_on(clip: Clip, other: Clip, rng: np.random.Generator) -> Clip:
    """It gets light."""
    return _lights(clip, rng, off=False)


def covered(clip: Clip, other: Clip, rng: np.random.Generator) -> Clip:
    """Something slides over the lens from one side, and stays."""
    colour = rng.uniform(10, 120, 3) * (1 + 0.15 * rng.normal(size=(*clip.shape[1:3], 1)).cumsum(0) / 15)
    share = _ramp(len(clip), rng.uniform(2, 5), rng.uniform(0.5, 2.5))[..., 0]
    height, width = clip.shape[1:3]
    side = int(rng.integers(4))
    place = np.linspace(0, 1, width)[None, None] if side < 2 else np.linspace(0, 1, height)[None, :, None]
    place = place if side % 2 else 1 - place
    hidden = np.broadcast_to(np.clip((rng.uniform(0.85, 1.1) * share - place) / 0.08, 0, 1), clip.shape[:3])[..., None]
    return _pixels(clip * (1 - hidden) + hidden * colour)


def knocked(clip: Clip, other: Clip, rng: np.random.Generator) -> Clip:
    """The camera is pushed: the picture jumps aside, swings and stays."""
    size = rng.uniform(0.12, 0.3)
    angle = rng.uniform(0, 2 * np.pi)
    begin = int(rng.integers(2, 5))
    found = clip.copy()
    for i in range(begin, len(clip)):
        swing = size * (1 + 0.5 * np.cos(2.2 * (i - begin)) * 0.6 ** (i - begin))
        shift = int(swing * np.sin(angle) * clip.shape[1]), int(swing * np.cos(angle) * clip.shape[2])
        y, x = (np.abs(np.arange(n) + s) for n, s in zip(clip.shape[1:3], shift, strict=True))
        y, x = (n - 1 - np.abs(n - 1 - i % (2 * n - 1)) for n, i in zip(clip.shape[1:3], (y, x), strict=True))
        found[i] = clip[i][y][:, x]
    return found


def _patch(clip: Clip, other: Clip, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A piece of another scene and where it lies: picture and mask."""
    radius = rng.uniform(0.1, 0.18), rng.uniform(0.1, 0.18)
    mask = _mask(clip.shape[1:3], (rng.uniform(0.3, 0.75), rng.uniform(0.25, 0.75)), radius)
    picture = other[int(rng.integers(len(other)))].astype(np.float64)
    return np.roll(picture, tuple(rng.integers(0, 224, 2)), (0, 1)), mask


def put_down(clip: Clip, other: Clip, rng: np.random.Generator) -> Clip:
    """A thing is there that was not, and stays."""
    picture, mask = _patch(clip, other, rng)
    share = _ramp(len(clip), rng.uniform(2, 5), rng.uniform(0.1, 1.0)) * mask
    return _pixels(clip * (1 - share) + share * picture)


def taken_away(clip: Clip, other: Clip, rng: np.random.Generator) -> Clip:
    """A thing that was there is gone."""
    picture, mask = _patch(clip, other, rng)
    share = (1 - _ramp(len(clip), rng.uniform(2, 5), rng.uniform(0.1, 1.0))) * mask
    return _pixels(clip * (1 - share) + share * picture)


def _passes(clip: Clip, other: Clip, rng: np.random.Generator, *, right: bool) -> Clip:
    radius = rng.uniform(0.12, 0.22), rng.uniform(0.1, 0.18)
    y, begin, length = rng.uniform(0.3, 0.75), rng.uniform(0, 2), rng.uniform(5, 8)
    picture = other[int(rng.integers(len(other)))].astype(np.float64)
    found = []
    for i, frame in enumerate(clip):
        share = (i - begin) / length
        x = -0.2 + 1.4 * (share if right else 1 - share)
        mask = _mask(clip.shape[1:3], (y, x), radius)
        found.append(frame * (1 - mask) + mask * np.roll(picture, int(x * clip.shape[2]), 1))
    return _pixels(np.stack(found))


def passes_right(clip: Clip, other: Clip, rng: np.random.Generator) -> Clip:
    """A thing passes from the left to the right."""
    return _passes(clip, other, rng, right=True)


def passes_left(clip: Clip, other: Clip, rng: np.random.Generator) -> Clip:
    """A thing passes from the right to the left."""
    return _passes(clip, other, rng, right=False)


def nothing(clip: Clip, other: Clip, rng: np.random.Generator) -> Clip:
    """The clip as it is: what moves in it is no event."""
    return clip


EVENTS: dict[str, Callable[[Clip, Clip, np.random.Generator], Clip]] = {
    "the light goes off": lights_off,
    "the light goes on": lights_on,
    "the camera is covered": covered,
    "the camera is knocked": knocked,
    "a thing is put down": put_down,
    "a thing is taken away": taken_away,
    "a thing passes to the right": passes_right,
    "a thing passes to the left": passes_left,
    NOTHING: nothing,
}
