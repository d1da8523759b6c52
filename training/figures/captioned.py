"""Tables of photographs and clips with their captions, as figures need them: each item once, with all its captions."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import DataError
from vljepa_edge.training.data.sources.table import read_table


@dataclass(frozen=True)
class Captioned:
    """The items of a table. `captions` (C,) are all texts; `owner` (C,) int64 has the place in `items` of each one's
    item. `digest` changes with the texts, and with the names, sizes and times of the items' files."""

    name: str
    items: tuple[Path, ...]
    captions: tuple[str, ...]
    owner: NDArray[np.int64]
    digest: str

    def of_item(self, place: int) -> list[str]:
        """The captions of one item, in the table's order."""
        return [self.captions[row] for row in np.flatnonzero(self.owner == place)]

    def within(self, folder: str) -> Captioned:
        """The items that lie in a folder of this name, at any depth. Raises DataError when there are none."""
        kept = [place for place, item in enumerate(self.items) if folder in item.parent.parts]
        if not kept:
            raise DataError(self.name, f"must have items in a folder {folder}, got none")
        rows = np.flatnonzero(np.isin(self.owner, kept))
        items = tuple(self.items[place] for place in kept)
        captions = tuple(self.captions[row] for row in rows)
        owner = np.searchsorted(kept, self.owner[rows])
        return Captioned(f"{self.name}, {folder}", items, captions, owner, _digest(items, captions, owner))


def read_captioned(path: Path) -> Captioned:
    """A table with the columns path and caption (see training.data.sources.table), a row a caption.

    Raises DataError, naming the row: for a table that can't be used, for rows that are questions or stretches of a
    file, and for a file that isn't there.
    """
    table = read_table(path)
    places: dict[str, int] = {}
    captions, owner = [], []
    for number in range(len(table)):
        sample = table[number]
        where = f"row {sample.key}"
        if sample.query:
            raise DataError(path, "must have captions, not questions and answers, to search with", where)
        if sample.start is not None or sample.end is not None:
            raise DataError(path, "must be of complete files: start and end must be empty", where)
        if sample.media not in places and not os.path.isfile(sample.media):
            raise DataError(path, f"{sample.media} is not there", where)
        owner.append(places.setdefault(sample.media, len(places)))
        captions.append(sample.target.strip())
    items = tuple(map(Path, places))
    return Captioned(path.stem, items, tuple(captions), np.array(owner, np.int64), _digest(items, captions, owner))


def _digest(items: Sequence[Path], captions: Sequence[str], owner: Iterable[int]) -> str:
    found = hashlib.sha256()
    for item in items:
        status = item.stat()
        found.update(f"{item.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode(errors="surrogateescape"))
    for place, caption in zip(owner, captions, strict=True):
        found.update(f"{place}\0{caption}\0".encode())
    return found.hexdigest()
