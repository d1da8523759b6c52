"""What streams show: things to see, with what people say of them.

Each set has one part for tuning and another for reporting: other photographs and clips, other objects.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.selective.camera import SIDE
from vljepa_edge.video.source import open_source

TABLES = ("coco-val.jsonl", "flickr8k-test.jsonl", "robot-test.jsonl")
_TUNING = 0.3  # share of the photographs and clips that are for tuning
_CLIPS = 0.25  # share of what is shown that are clips
_LONGEST = 45.0  # seconds of a clip that are read


class Item(Protocol):
    """Something to see, and what people say of it."""

    @property
    def captions(self) -> Sequence[str]: ...

    def frames(self, fps: float) -> NDArray[np.uint8]:
        """(n, SIDE, SIDE, 3), n at least 1: what is seen at this rate; then its last frame stays."""
        ...


@dataclass(frozen=True)
class Media:
    """A photograph or a clip of a table."""

    path: Path
    captions: tuple[str, ...]

    def frames(self, fps: float) -> NDArray[np.uint8]:
        """Raises VideoError."""
        seen = []
        with open_source(self.path, size=(SIDE, SIDE), resize="cover", fps=fps) as source:
            for image, time in source:
                if time > _LONGEST:
                    break
                seen.append(np.array(image))
        return np.stack(seen)


MakeItems = Callable[[random.Random, bool], tuple[list[Item], str]]
"""Items in an order of chance, for tuning or for reporting, and a digest that changes where they do."""


def everyday(data: Path, rng: random.Random, tuning: bool) -> tuple[list[Item], str]:
    """Photographs and clips of the tables in `data`: see MakeItems.

    `data`: what `vljepa data fetch everyday` made. Raises DataError where a table is not there or can't be used.
    """
    digest = hashlib.sha256()
    photographs: list[Item] = []
    clips: list[Item] = []
    for name in TABLES:
        found = _read_table(data / name)
        said = [caption for captions in found.values() for caption in captions]
        digest.update("\0".join([*(path.name for path in found), *said]).encode())
        of = clips if name.startswith("robot") else photographs
        of += [Media(path, tuple(own)) for path, own in found.items() if is_for_tuning(path.name) == tuning]
    rng.shuffle(photographs)
    rng.shuffle(clips)
    shown: list[Item] = []
    while photographs and clips:
        shown.append((clips if rng.random() < _CLIPS else photographs).pop())
    return shown + photographs, digest.hexdigest()


def is_for_tuning(name: str, share: float = _TUNING) -> bool:
    """Whether something of this name is in the part for tuning: by chance, but always the same for a name."""
    return int.from_bytes(hashlib.sha256(f"part of {name}".encode()).digest()[:4], "big") / 2**32 < share


def _read_table(table: Path) -> dict[Path, list[str]]:
    """The captions of each photograph or clip of a JSONL table with `path` and `caption`."""
    found: dict[Path, list[str]] = {}
    try:
        for line in table.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found.setdefault(table.parent / row["path"], []).append(row["caption"].strip())
    except OSError as error:
        raise DataError(
            table.parent, f"must hold {', '.join(TABLES)}: to get them, run `vljepa data fetch everyday`; for "
            "videos of your own it must hold annotations.csv with the columns path, time, text"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(table, "must have a JSON object with path and caption on each line") from error
    return found
