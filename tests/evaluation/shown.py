"""Media for items: short videos and images where a task expects them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.media import write_video
from vljepa_edge.evaluation.items import Media
from vljepa_edge.support.media_files import PHOTOS


def show(wanted: Iterable[Media], folder: Path) -> None:
    """Write each of the files that isn't there: a colour of its own, as long as its last stretch asks for."""
    folder.mkdir(parents=True, exist_ok=True)
    ends: dict[Path, float] = {}
    for media in wanted:
        ends[media.path] = max(ends.get(media.path, 2.0), media.end or 0.0)
    for number, (path, end) in enumerate(ends.items()):
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.full((32, 32, 3), (40 * number % 256, 90 * number % 256, 200), np.uint8)
        if path.suffix.lower() in PHOTOS:
            Image.fromarray(image).save(path)
        else:  # a suffix names no container to a reader
            made = write_video(folder / f"{number}.mp4", [image] * max(4, math.ceil(2 * end) + 1), fps=2)
            os.replace(made, path)
