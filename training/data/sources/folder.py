"""A folder of videos and images. Captions stand in text files beside them, or are the names of the folders they are in.

`clip.mp4` has its captions in `clip.txt`, one a line; without that file the folder's name is the caption, `open_drawer`
being "open drawer".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from vljepa_edge.errors import DataError
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources.listed import Listed

VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".gif"})
IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif"})


def read_folder(folder: str | Path) -> Listed:
    """The samples of all videos and images in a folder and those below it, in the order of their names.

    Raises DataError for one without a caption, or when there is none.
    """
    folder = Path(folder)
    return Listed(str(folder), _samples(folder))


def media_files(folder: Path) -> Iterator[Path]:
    """All videos and images in a folder and those below it, in the order of their names; hidden ones are left out."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in VIDEOS | IMAGES:
                yield Path(place, name)


def _samples(folder: Path) -> Iterator[Sample]:
    for file in media_files(folder):
        captions = _captions(file, folder)
        name = file.relative_to(folder).as_posix()
        for number, caption in enumerate(captions):
            yield Sample(name if len(captions) == 1 else f"{name}:{number + 1}", str(file), caption)


def _captions(file: Path, folder: Path) -> list[str]:
    beside = file.with_suffix(".txt")
    try:
        lines = beside.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        name = file.parent.name.replace("_", " ").strip()
        if file.parent == folder or not name:
            raise DataError(
                file, f"has no caption: put it in {beside.name}, or the file in a folder of the caption's name"
            ) from None
        return [name]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(beside, f"can't be read as UTF-8 ({error})") from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise DataError(beside, "has no caption in it")
    return found
