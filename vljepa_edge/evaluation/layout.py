"""Where a benchmark's files lie: its tree, for people to read, and its media, found by their stems."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vljepa_edge.errors import LayoutError
from vljepa_edge.evaluation.items import Media
from vljepa_edge.support.media_files import PHOTOS, VIDEOS


@dataclass(frozen=True)
class Layout:
    """A folder that should be as `tree` shows, which stands in --list and in the error when it isn't."""

    data: Path
    tree: str

    def file(self, *names: str) -> Path:
        """The first of these paths below the folder that is a file. Raises LayoutError, showing the tree."""
        for name in names:
            if (self.data / name).is_file():
                return self.data / name
        raise self.foreign(f"has no {' or '.join(names)}")

    def folder(self, *names: str) -> Path:
        """The first of these that is a folder. Raises LayoutError, showing the tree."""
        for name in names:
            if (self.data / name).is_dir():
                return self.data / name
        raise self.foreign(f"has no folder {' or '.join(names)}")

    def foreign(self, why: str) -> LayoutError:
        """The error of a folder that is not laid out so."""
        return LayoutError(self.data, why, self.tree)

    def media(self, stem: str, suffix: str = ".mp4", start: float | None = None, end: float | None = None) -> Media:
        """The video of this stem, or the image where `suffix` is an image's, at any depth, or a stretch of it; where
        there is none, `stem` and `suffix` in the folder. Players and downloaders leave previews beside videos, or in
        place of one that they could not get."""
        kind = self._photos if suffix.lower() in PHOTOS else self._videos
        return Media(kind.get(stem, self.data / f"{stem}{suffix}"), start, end)

    def at(self, name: str, *folders: str) -> Media:
        """The video or image `name` in the first of these folders that has it, else in the first."""
        paths = [self.data / folder / name for folder in folders]
        return Media(next((path for path in paths if os.path.isfile(path)), paths[0]))

    def files(self, folder: Path) -> Iterator[Path]:
        """The files below a folder, in order, through links, but for hidden ones and what is in hidden folders."""
        walked: set[tuple[int, int]] = set()  # links may lead to a folder twice, or back to one that they are in
        for parent, folders, names in os.walk(folder, followlinks=True):
            status = os.stat(parent)
            if (status.st_dev, status.st_ino) in walked:
                folders.clear()
                continue
            walked.add((status.st_dev, status.st_ino))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))

    @cached_property
    def _photos(self) -> dict[str, Path]:
        return self._by_stem(True)

    @cached_property
    def _videos(self) -> dict[str, Path]:
        return self._by_stem(False)

    def _by_stem(self, photos: bool) -> dict[str, Path]:
        """The first file of each stem; a link that leads nowhere only where there is no other."""
        found: dict[str, Path] = {}
        for file in self.files(self.data):
            stem = stem_of(file.name)
            if file.name.lower().endswith(PHOTOS) == photos and (stem not in found or not os.path.isfile(found[stem])):
                found[stem] = file
        return found


def stem_of(name: str) -> str:
    """A file's name without the suffix of a video or image, or a trailing dot; other dots are a part of names."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in (*VIDEOS, *PHOTOS, ".") else name
