"""The real evaluation sets: single-object photographs and videos that come inside packages, labelled by eye.

Nothing here is ever trained on. The candidates are the label and names of other things that are not in the picture,
half of them from the same category, so that guessing the category is not enough.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vljepa_edge.support.assets import AssetError
from vljepa_edge.support.install import pip_install
from vljepa_edge.training.tiny import assets
from vljepa_edge.training.tiny.real_photos import DISTRACTORS, ROWS
from vljepa_edge.training.tiny.real_videos import WINDOWS, Window

__all__ = [
    *("CANDIDATES", "Photo", "Video", "candidates", "is_right", "photos", "videos", "window_candidates"),
    "with_general",
]

CANDIDATES = 48
_GENERAL = {
    "person": ("someone", "somebody", "person", "human"),
    "vehicle": ("vehicle",),
    "animal": ("animal",),
    "plant": ("plant",),
}


@dataclass(frozen=True)
class Photo:
    """A photograph, `image` uint8 RGB (height, width, 3). `accepted` is all that is right to say, `label` first."""

    name: str
    image: NDArray[np.uint8]
    label: str
    accepted: tuple[str, ...]
    candidates: tuple[str, ...]
    source: str

    @property
    def tuning(self) -> bool:
        """Whether it is in the half that settings are chosen by; the figures that are reported are of the others.

        The hash of its source decides, so a photograph stays in its half when others are added.
        """
        return hashlib.sha256(self.source.encode()).digest()[0] % 2 == 0


@dataclass(frozen=True)
class Video:
    name: str
    path: Path
    windows: tuple[Window, ...]


def photos() -> list[Photo]:
    """Every labelled photograph. Raises AssetError where scikit-image or scikit-learn, which carry some, is missing."""
    found = []
    for row in ROWS:
        with Image.open(_file(row.place)) as image:
            pixels = np.asarray(image.convert("RGB"))
        accepted = (row.label, *row.also)
        found.append(Photo(row.name, pixels, row.label, accepted, candidates(row.name, row.group, accepted), row.place))
    return found


def _file(place: str) -> Path | io.BytesIO:
    """What Pillow opens for a row's place, '<package>:<path>'."""
    package, path = place.split(":", 1)
    if package == "gcompris":
        activity, _, inside = path.partition("/")
        return io.BytesIO(assets.gcompris_activity(activity)[inside])
    return _FOLDERS[package]() / path


def videos() -> list[Video]:
    """Every real video with its described windows, in time order."""
    return [Video(name, path, WINDOWS[name]) for name, path in assets.videos().items()]


def window_candidates(video: str, window: Window) -> tuple[str, ...]:
    """CANDIDATES labels for a window of a video: its own and others that are not seen in it."""
    return candidates(f"{video}@{window.start}", window.group, (window.label, *window.also))


def candidates(seed: str, group: str, accepted: tuple[str, ...]) -> tuple[str, ...]:
    """The first of `accepted` and CANDIDATES - 1 wrong names, half of them from the group if it has so many; sorted.

    The same for the same seed, every time.
    """
    near = [name for name in DISTRACTORS[group] if not _overlap(name, accepted)]
    others = sorted({name for pool in DISTRACTORS.values() for name in pool} - set(DISTRACTORS[group]))
    far = [name for name in others if not _overlap(name, accepted)]
    rng = random.Random(seed)
    chosen = rng.sample(near, min(len(near), CANDIDATES // 2))
    chosen += rng.sample(far, CANDIDATES - 1 - len(chosen))
    return tuple(sorted([accepted[0], *chosen]))


def is_right(text: str, accepted: tuple[str, ...]) -> bool:
    """Whether a text names anything accepted, as complete words, in singular or plural, in any case."""
    words = " ".join(_singular(word) for word in re.findall(r"[a-z0-9]+", text.lower()))
    names = (" ".join(_singular(word) for word in re.findall(r"[a-z0-9]+", name.lower())) for name in accepted)
    return any(f" {name} " in f" {words} " for name in names)


def with_general(accepted: tuple[str, ...], group: str) -> tuple[str, ...]:
    """`accepted`, and what is right to say in general of what is seen in a stretch of this group."""
    return (*accepted, *_GENERAL.get(group, ()))


def _overlap(name: str, accepted: tuple[str, ...]) -> bool:
    return is_right(name, accepted) or any(is_right(other, (name,)) for other in accepted)


def _singular(word: str) -> str:
    for plural, singular in (
        ("men", "man"),
        ("children", "child"),
        ("people", "person"),
        ("leaves", "leaf"),
        ("buses", "bus"),
    ):
        if word.endswith(plural):
            return word[: -len(plural)] + singular
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us")) and len(word) > 3 else word


def _installed(module: str, package: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise AssetError(package, f"is not installed and carries some of the photographs: {pip_install(package)}")
    return Path(spec.origin).parent


_FOLDERS: dict[str, Callable[[], Path]] = {
    "opencv": assets.opencv_samples_dir,
    "tutorials": assets.opencv_tutorials_dir,
    "kivy": assets.kivy_images_dir,
    "skimage": lambda: _installed("skimage", "scikit-image") / "data",
    "sklearn": lambda: _installed("sklearn", "scikit-learn") / "datasets" / "images",
}
