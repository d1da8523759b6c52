"""Where a benchmark's files lie: its tree, for people to read, and its media, found by their stems."""

from __future__ import annotations

import os
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
        """The video or image of this stem, at any depth, or a stretch of it; where there is none, `stem` and `suffix`
        in the folder."""
        return Media(self._by_stem.get(stem, self.data / f"{stem}{suffix}"), start, end)

    def at(self, name: str, *folders: str) -> Media:
        """The video or image `name` in the first of these folders that has it, else in the first."""
        paths = [self.data / folder / name for folder in folders]
        return Media(next((path for path in paths if os.path.isfile(path)), paths[0]))

    @cached_property
    def _by_stem(self) -> dict[str, Path]:
        """Of a video and a photo of one stem the video: players and downloaders leave previews beside videos."""
        photos: dict[str, Path] = {}
        others: dict[str, Path] = {}
        walked: set[tuple[int, int]] = set()  # links may lead to a folder twice, or back to one that they are in
        for folder, folders, files in os.walk(self.data, followlinks=True):
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in walked:
                folders.clear()
                continue
            walked.add((status.st_dev, status.st_ino))
            folders.sort()
            for name in sorted(files):
                found = photos if name.lower().endswith(PHOTOS) else others
                found.setdefault(stem_of(name), Path(folder, name))
        return photos | others


def stem_of(name: str) -> str:
    """A file's name without the suffix of a video or image, or a trailing dot; other dots are a part of names."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in (*VIDEOS, *PHOTOS, ".") else name
