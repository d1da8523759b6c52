"""Photographs seen by a moving camera: a window that pans, zooms or stays, with what the camera does or what is shown.

In a run's file: `{kind: "vljepa_edge.training.everyday.moving:MovingCrops", of: {path: photographs.jsonl}}`. A camera
that pans left shows things that move to the right.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.everyday.queries import CAMERA_QUERIES, CAPTION_QUERIES, STILL_QUERIES
from vljepa_edge.video.frame import Image, SourceStats
from vljepa_edge.video.preprocess import Scaler, resize
from vljepa_edge.video.readable import readable
from vljepa_edge.video.recorded import File, decoded, open_file, open_object
from vljepa_edge.video.stretch import FramePlan, check_plan

MOTIONS = {
    "left": ("The camera pans left.", "The camera moves to the left.", "The camera turns left."),
    "right": ("The camera pans right.", "The camera moves to the right.", "The camera turns right."),
    "up": ("The camera pans up.", "The camera moves up.", "The camera tilts up."),
    "down": ("The camera pans down.", "The camera moves down.", "The camera tilts down."),
    "in": ("The camera zooms in.", "The camera comes closer.", "The view gets closer."),
    "out": ("The camera zooms out.", "The camera moves away.", "The view gets wider."),
    "stays": ("The camera stays still.", "The camera does not move."),
}
"""What is said of each motion of the camera, the usual words first."""
NOTHING, SOMETHING = "Nothing moves.", "The camera moves."
_OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up", "in": "out", "out": "in"}
_AXIS = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
_MARK = "::moving/"
_MOST_NEGATIVES = 4
_SECONDS = 2.0
_SHIFT = (0.12, 0.7)  # of the window's side that a pan goes, over the clip
_ZOOM = (1.2, 2.0)  # how much longer the larger window's sides are
_SMALLEST = 0.5  # side of the smallest window, as a part of the largest that fits
_DRIFT = 0.15  # of a pan's way that it goes aside
_FINE = 1.5  # pixels of the photograph for one of a frame, so that windows of whole pixels move smoothly
_MOST_PIXELS = 2048  # of a side of the photograph that the windows are cut from


@dataclass(frozen=True)
class Way:
    """Where the window is, at the beginning and the end: centre and side, each from 0 to 1 of what there is room for.

    eased: it starts and stops gently.
    """

    begin: tuple[float, float, float]
    end: tuple[float, float, float]
    eased: bool


class MovingCrops:
    """A clip of each photograph of another source, and a text about the camera or the photograph.

    of: the source of photographs with captions: what `open_source` takes; of a video the first frame counts. seed: of
    motions, texts and windows. captions: the share of clips that are asked for the photograph's caption; the others
    are asked what the camera does. stays: the share of clips in which nothing moves; the six motions share the rest.
    count: clips, of photographs evenly over the source; None: one of each sample.
    Raises InputError for a share outside 0 to 1 or a count that is not from 1 to the samples there are, and what
    `open_source` raises.
    """

    def __init__(
        self,
        of: str | Path | Mapping[str, Any],
        seed: int = 0,
        captions: float = 0.5,
        stays: float = 0.2,
        count: int | None = None,
    ) -> None:
        for what, share in (("captions", captions), ("stays", stays)):
            if not 0 <= share <= 1:
                raise InputError(f"{what} must be a share from 0 to 1, got {share!r}")
        self._source = open_source(of)
        if count is not None and not 1 <= count <= len(self._source):
            raise InputError(f"count must be from 1 to the {len(self._source)} samples there are, got {count!r}")
        self.name = f"{self._source.name}, moving"
        self.left_out = dict(self._source.left_out)
        self._count = len(self._source) if count is None else count
        self._seed, self._captions, self._stays = seed, captions, stays

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._count:
            raise IndexError(f"no clip {index} of {self._count}")
        row = index * len(self._source) // self._count
        shown = self._source[row]
        motion = self.motion(index)
        sample = replace(shown, media=f"{shown.media}{_MARK}{self._seed}/{index}/{motion}")
        rng = random.Random(f"{self._seed}/{index}/moving/said")
        if rng.random() < self._captions:
            return replace(sample, query=shown.query or rng.choice(CAPTION_QUERIES))
        return _asked(sample, motion, rng)

    def motion(self, index: int) -> str:
        """What the camera does in a clip: one of MOTIONS."""
        rng = random.Random(f"{self._seed}/{index}/moving")
        return "stays" if rng.random() < self._stays else rng.choice([*_OPPOSITE])

    def frames(self, sample: Sample, plan: FramePlan, where: float = 0.5) -> NDArray[np.uint8]:
        """The window's view at `plan.count` even times; rate and where have no part in it.

        With `cover` the window has the proportions of the frames, with `stretch` those of the photograph.
        Raises VideoError for a photograph that can't be read, InputError for a plan that is not allowed.
        """
        check_plan(plan)
        media, _, drawn = sample.media.rpartition(_MARK)
        photograph = self._photograph(replace(sample, media=media))
        motion = drawn.rpartition("/")[2]
        height, width = photograph.shape[:2]
        ratio = plan.width / plan.height if plan.resize == "cover" else width / height
        room = min(width, height * ratio), min(height, width / ratio)  # the largest window
        path = window_path(motion, (room[0] / width, room[1] / height), random.Random(drawn))
        smallest = min(path.begin[2], path.end[2])
        scale = _FINE * plan.width / (smallest * room[0])
        scale = min(scale, _MOST_PIXELS / max(width, height))
        if scale > 1:
            photograph = resize(photograph, round(width * scale), round(height * scale), "stretch")
        return np.stack([_view(photograph, window, ratio, plan) for window in _windows(path, plan.count)])

    def open(self, sample: Sample) -> BinaryIO:
        """Raises VideoError: there is no file of a moving window."""
        raise VideoError(sample.media, "is cut from a photograph; there is no file of it")

    def duration(self, sample: Sample) -> float:
        """Seconds of each clip, whatever its frames."""
        return _SECONDS

    def _photograph(self, sample: Sample) -> Image:
        if os.path.isfile(sample.media):
            file = open_file(sample.media, SourceStats(), 1)
            with readable(sample.media):
                return _first(file, sample.media)
        with self._source.open(sample) as opened, readable(sample.media):
            return _first(open_object(sample.media, opened, SourceStats(), 1), sample.media)


def _first(file: File, name: str) -> Image:
    pictures = decoded(file, SourceStats())
    try:
        picture = next(pictures, None)
        if picture is None:
            raise VideoError(name, "no frames in it can be decoded")
        return Scaler().upright(picture, None, "cover")
    finally:
        pictures.close()


def _asked(sample: Sample, motion: str, rng: random.Random) -> Sample:
    """The sample with a question about the camera."""
    if rng.random() < (0.5 if motion == "stays" else 0.15):
        right, wrong = (NOTHING, SOMETHING) if motion == "stays" else (SOMETHING, NOTHING)
        return replace(
            sample, query=rng.choice(STILL_QUERIES), target=right, text_key=right, also=(), negatives=(wrong,)
        )  # fmt: skip
    others = [other for other in MOTIONS if other not in (motion, _OPPOSITE.get(motion))]
    first = (_OPPOSITE[motion],) if motion in _OPPOSITE else ()
    wrong_motions = [*first, *rng.sample(others, _MOST_NEGATIVES - len(first))]
    number = rng.randrange(len(MOTIONS[motion]))
    return replace(
        sample,
        query=rng.choice(CAMERA_QUERIES),
        target=MOTIONS[motion][number],
        text_key=f"camera {motion}",
        also=(),
        negatives=tuple(MOTIONS[other][number % len(MOTIONS[other])] for other in wrong_motions),
    )


def window_path(motion: str, room: tuple[float, float], rng: random.Random) -> Way:
    """A way of the window for a motion. room: the largest window's width and height as parts of the photograph's."""
    eased = rng.random() < 0.5
    if motion in _AXIS:
        along = _AXIS[motion]
        part = room[0] if along[0] else room[1]
        shift = rng.uniform(*_SHIFT)
        largest = min(0.95, 1 / (part * (1 + shift)))  # so that the window and its way fit
        side = rng.uniform(min(_SMALLEST, largest), largest)
        drift = rng.uniform(-_DRIFT, _DRIFT) * shift
        way = (along[0] * shift or drift, along[1] * shift or drift)
        way = (way[0] * side * room[0], way[1] * side * room[1])
        begin = tuple(
            rng.uniform(*_between(side * size / 2, move)) for size, move in zip(room, way, strict=True)
        )  # fmt: skip
        return Way((begin[0], begin[1], side), (begin[0] + way[0], begin[1] + way[1], side), eased)
    large = rng.uniform(0.8, 1.0)
    small = max(_SMALLEST, large / rng.uniform(*_ZOOM))
    centre = tuple(rng.uniform(*_between(large * size / 2, 0.0)) for size in room)
    first, last = {"in": (large, small), "out": (small, large), "stays": (large, large)}[motion]
    return Way((centre[0], centre[1], first), (centre[0], centre[1], last), eased)


def _between(half: float, move: float) -> tuple[float, float]:
    """Between what a window's centre may begin, that goes on by `move` and stays inside."""
    low, high = half - min(0.0, move), 1 - half - max(0.0, move)
    return (low, high) if low <= high else ((low + high) / 2, (low + high) / 2)


def _windows(path: Way, count: int) -> list[tuple[float, float, float]]:
    """The window at `count` even times from the beginning to the end."""
    found = []
    for k in range(count):
        t = k / (count - 1) if count > 1 else 0.5
        t = t * t * (3 - 2 * t) if path.eased else t
        x, y = (a + t * (b - a) for a, b in zip(path.begin[:2], path.end[:2], strict=True))
        found.append((x, y, path.begin[2] ** (1 - t) * path.end[2] ** t))
    return found


def _view(photograph: Image, window: tuple[float, float, float], ratio: float, plan: FramePlan) -> Image:
    height, width = photograph.shape[:2]
    x, y, side = window
    wide, high = side * min(width, height * ratio), side * min(height, width / ratio)
    columns, rows = max(1, min(width, round(wide))), max(1, min(height, round(high)))
    left = min(max(0, round(x * width - wide / 2)), width - columns)
    top = min(max(0, round(y * height - high / 2)), height - rows)
    cut = np.ascontiguousarray(photograph[top : top + rows, left : left + columns])
    return resize(cut, plan.width, plan.height, "stretch")
