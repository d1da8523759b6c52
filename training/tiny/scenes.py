"""Draw a scene: cut-outs moving over a photograph, 8 frames of 224 x 224.

A clip is drawn from a seed and its `Scene` alone, so nothing but labels has to be stored to draw it again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from vljepa_edge.training.tiny.captions import COUNTED_MOTIONS, DIRECTIONS, MAX_COUNT, ONE, TWO, Scene

SIZE = 224
FRAMES, FPS = 8, 4.0
_SHAKE = 6  # px; a third of the clips are hand-held
BACKGROUND = SIZE + _SHAKE  # px of the photograph behind a scene
_WORLD = 320  # px of the photograph that a moving camera passes over
_PAN = (48.0, 24.0)  # px to each side of the middle, the farthest that it goes
_ZOOM = 0.15
_TREMBLE = 4.0
_CLOSE_UP = (150.0, 280.0)  # px of the longer side
_OFF_CENTRE = 30.0


class Pose:
    """One object in one frame: offset of its centre in px, scale, angle in degrees, whether it is there."""

    __slots__ = ("angle", "dx", "dy", "scale", "visible")

    def __init__(
        self, dx: float = 0.0, dy: float = 0.0, scale: float = 1.0, angle: float = 0.0, visible: bool = True
    ) -> None:
        self.dx, self.dy, self.scale, self.angle, self.visible = dx, dy, scale, angle, visible

    def key(self) -> tuple[float, float, float, float, bool]:
        return (self.dx, self.dy, self.scale, self.angle, self.visible)


_STEPS = [i / (FRAMES - 1) for i in range(FRAMES)]


def _straight(dx: float, dy: float) -> list[Pose]:
    """A line through the resting place, half before and half after it."""
    return [Pose((t - 0.5) * dx, (t - 0.5) * dy) for t in _STEPS]


def motion_path(motion: str, rng: random.Random) -> list[Pose]:
    """Poses of one object over the clip for one of the eleven one-object motions."""
    distance = rng.uniform(60, 120)
    if motion in DIRECTIONS:
        dx, dy = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}[motion]
        slant = rng.uniform(-0.12, 0.12) * distance
        return _straight(dx * distance + abs(dy) * slant, dy * distance + abs(dx) * slant)
    if motion == "still":
        return [Pose() for _ in _STEPS]
    if motion in ("grow", "shrink"):
        small, large = rng.uniform(0.45, 0.6), rng.uniform(1.1, 1.4)
        first, last = (small, large) if motion == "grow" else (large, small)
        return [Pose(scale=first + (last - first) * t) for t in _STEPS]
    if motion == "spin":
        turn = rng.choice((-1, 1)) * rng.uniform(220, 380)
        return [Pose(angle=turn * t) for t in _STEPS]
    if motion in ("appear", "vanish"):
        change = rng.randint(2, FRAMES - 2)
        return [Pose(visible=(i >= change) == (motion == "appear")) for i in range(FRAMES)]
    if motion == "bounce":
        phase, height = rng.randint(0, 1), distance / 2
        return [Pose(dy=-0.7 * height if (i + phase) % 2 else 0.3 * height) for i in range(FRAMES)]
    raise ValueError(f"{motion!r} is not a one-object motion; use one of {', '.join(ONE)}")


class Item:
    """A cut-out, the resting place of its centre, and its path."""

    def __init__(self, sprite: Image.Image, x: float, y: float, path: Sequence[Pose]) -> None:
        self.sprite, self.x, self.y, self.path = sprite, x, y, path

    def paste(self, frame: Image.Image, index: int, margin: float = 0.0) -> None:
        """Onto frame `index`, or onto a larger picture that reaches `margin` px beyond it on each side."""
        pose, sprite = self.path[index], self.sprite
        if not pose.visible:
            return
        if pose.scale != 1:
            size = (max(4, round(sprite.width * pose.scale)), max(4, round(sprite.height * pose.scale)))
            sprite = sprite.resize(size, Image.Resampling.BILINEAR)
        if pose.angle:
            sprite = sprite.rotate(pose.angle, Image.Resampling.BILINEAR, expand=True)
        x, y = self.x + pose.dx + margin, self.y + pose.dy + margin
        corner = (round(x - sprite.width / 2), round(y - sprite.height / 2))
        frame.paste(sprite, corner, sprite)


def camera_path(rng: random.Random) -> list[tuple[float, float, float, float]]:
    """What a moving camera sees of the world in each frame, as a box (left, top, right, bottom) in px: it pans, half
    the time comes closer or draws back, and trembles."""
    travel = [rng.uniform(-far, far) for far in _PAN]
    zooms = [math.exp(rng.uniform(-_ZOOM, _ZOOM)) for _ in range(2)] if rng.random() < 0.5 else [1.0, 1.0]
    tremble = rng.uniform(0.0, _TREMBLE)
    boxes = []
    for t in _STEPS:
        half = SIZE / 2 / (zooms[0] + (zooms[1] - zooms[0]) * t)
        x, y = (
            min(max(_WORLD / 2 + (2 * t - 1) * way + rng.gauss(0.0, tremble), half), _WORLD - half) for way in travel
        )
        boxes.append((x - half, y - half, x + half, y + half))
    return boxes


class Painter:
    """Draws scenes from a set of cut-outs and backgrounds, a share of them `moving`: seen by a camera that moves. What
    an object does is what it does in the scene, not in the picture."""

    def __init__(
        self, cutouts: dict[str, list[Image.Image]], backgrounds: list[list[Image.Image]], moving: float = 0.0
    ) -> None:
        self.cutouts, self.backgrounds, self.moving = cutouts, backgrounds, moving

    def background(self, rng: random.Random, size: int = BACKGROUND) -> Image.Image:
        """A random crop, perhaps mirrored, brighter or darker."""
        photo = rng.choice([photo for photo in rng.choice(self.backgrounds) if min(photo.size) >= size])
        x, y = rng.randint(0, photo.width - size), rng.randint(0, photo.height - size)
        crop = photo.crop((x, y, x + size, y + size))
        if rng.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return ImageEnhance.Brightness(crop).enhance(rng.uniform(0.7, 1.25))

    def sprite(self, name: str, size: float, rng: random.Random) -> Image.Image:
        cutout = rng.choice(self.cutouts[name])
        factor = size / max(cutout.size)
        small = cutout.resize(
            (max(4, round(cutout.width * factor)), max(4, round(cutout.height * factor))), Image.Resampling.BILINEAR
        )
        return small.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else small

    def _items(self, scene: Scene, rng: random.Random) -> list[Item]:
        middle = SIZE / 2
        if scene.second is not None:
            return self._pair(scene, rng)
        if scene.count > 1:
            return self._group(scene, rng)
        size = rng.uniform(75, 125) if scene.motion in (*DIRECTIONS, "bounce") else rng.uniform(85, 150)
        spread = 30
        sprite = self.sprite(scene.name, size, rng)
        return [
            Item(
                sprite,
                middle + rng.uniform(-spread, spread),
                middle + rng.uniform(-spread, spread),
                motion_path(scene.motion, rng),
            )
        ]

    def _group(self, scene: Scene, rng: random.Random) -> list[Item]:
        size = rng.uniform(60, 84) if scene.count == 2 else rng.uniform(48, 70)
        places = apart(scene.count, size * 1.02, rng)
        path = [Pose(0.7 * p.dx, 0.7 * p.dy, p.scale, p.angle, p.visible) for p in motion_path(scene.motion, rng)]
        return [Item(self.sprite(scene.name, size * rng.uniform(0.9, 1.05), rng), x, y, path) for x, y in places]

    def _pair(self, scene: Scene, rng: random.Random) -> list[Item]:
        assert scene.second is not None
        side, offset, middle = rng.choice((-1, 1)), rng.uniform(48, 60), SIZE / 2
        xa, xb = middle + side * offset, middle - side * offset
        still = motion_path("still", rng)
        if scene.motion == "swap":
            a, b = _slide(-2 * side * offset), _slide(2 * side * offset)
        elif scene.motion == "approach":
            xa, xb, a, b = xa + side * 8, xb - side * 8, _slide(-side * 36), _slide(side * 36)
        elif scene.motion == "apart":
            xa, xb, a, b = xa - side * 28, xb + side * 28, _slide(side * 36), _slide(-side * 36)
        elif scene.motion == "both_still":
            a = b = still
        else:
            a, b = motion_path(scene.motion.removesuffix("_while"), rng), still
        first = Item(self.sprite(scene.name, rng.uniform(70, 100), rng), xa, middle + rng.uniform(-20, 20), a)
        second = Item(self.sprite(scene.second, rng.uniform(70, 100), rng), xb, middle + rng.uniform(-20, 20), b)
        return [second, first]

    def draw(self, scene: Scene, rng: random.Random) -> NDArray[np.uint8]:
        """-> (8, 224, 224, 3) RGB."""
        background, held = self.background(rng), rng.random()
        if held >= 1.0 - self.moving:
            return self._draw_moving(scene, rng)
        shaken = held < 0.3
        drift = (rng.uniform(-1, 1), rng.uniform(-1, 1)) if rng.random() < 0.15 else (0.0, 0.0)
        items = self._items(scene, rng)
        frames = np.empty((FRAMES, SIZE, SIZE, 3), np.uint8)
        last, half = None, _SHAKE // 2
        for i in range(FRAMES):
            jitter = (
                (rng.randint(0, _SHAKE), rng.randint(0, _SHAKE))
                if shaken
                else (half + round(half * drift[0] * _STEPS[i]), half + round(half * drift[1] * _STEPS[i]))
            )
            key = (jitter, *(item.path[i].key() for item in items))
            if key == last:
                frames[i] = frames[i - 1]
                continue
            last = key
            frame = background.crop((jitter[0], jitter[1], jitter[0] + SIZE, jitter[1] + SIZE))
            for item in items:
                item.paste(frame, i)
            frames[i] = np.asarray(frame)
        return frames

    def close_up(self, name: str, rng: random.Random) -> NDArray[np.uint8]:
        """-> (224, 224, 3) RGB: one object that fills the frame or more, as in a photograph of it."""
        frame, sprite = self.background(rng, SIZE), self.sprite(name, rng.uniform(*_CLOSE_UP), rng)
        x, y = (SIZE / 2 + rng.uniform(-_OFF_CENTRE, _OFF_CENTRE) for _ in range(2))
        frame.paste(sprite, (round(x - sprite.width / 2), round(y - sprite.height / 2)), sprite)
        return np.asarray(frame)

    def _draw_moving(self, scene: Scene, rng: random.Random) -> NDArray[np.uint8]:
        world, items, margin = self.background(rng, _WORLD), self._items(scene, rng), (_WORLD - SIZE) / 2
        frames = np.empty((FRAMES, SIZE, SIZE, 3), np.uint8)
        for i, box in enumerate(camera_path(rng)):
            frame = world.copy()
            for item in items:
                item.paste(frame, i, margin)
            frames[i] = np.asarray(frame.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box))
        return frames


def _slide(dx: float) -> list[Pose]:
    """A straight move that starts at the resting place."""
    return [Pose(dx * t, 0.0) for t in _STEPS]


def apart(count: int, distance: float, rng: random.Random) -> list[tuple[float, float]]:
    """Places at least `distance` px apart along one axis or the other, inside the frame."""
    low, high = 42.0, SIZE - 42.0
    while True:
        places = [(rng.uniform(low, high), rng.uniform(low, high)) for _ in range(count)]
        if all(
            max(abs(ax - bx), abs(ay - by)) >= distance for i, (ax, ay) in enumerate(places) for bx, by in places[:i]
        ):
            return places


def random_scene(rng: random.Random, names: Sequence[str], *, pairs: float, groups: float) -> Scene:
    """One object moving; with probability `pairs` two objects, with probability `groups` two or three of one kind."""
    name, dice = rng.choice(names), rng.random()
    if dice < pairs:
        second = rng.choice(names)
        while second == name:
            second = rng.choice(names)
        return Scene(rng.choice(TWO), name, second)
    if dice < pairs + groups:
        return Scene(rng.choice(COUNTED_MOTIONS), name, count=rng.randint(2, MAX_COUNT))
    return Scene(rng.choice(ONE), name)
