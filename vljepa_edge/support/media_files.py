"""The videos and photos of a folder."""

from __future__ import annotations

import stat
from pathlib import Path

from vljepa_edge.errors import InputError

VIDEOS = (
    ".mp4",
    ".m4v",
    ".mov",
    ".qt",
    ".3gp",
    ".3g2",
    ".f4v",
    ".mkv",
    ".webm",
    ".avi",
    ".divx",
    ".mpg",
    ".mpeg",
    ".m2v",
    ".vob",
    ".ts",
    ".m2ts",
    ".mts",
    ".wmv",
    ".asf",
    ".flv",
    ".ogv",
    ".mxf",
)
# JPEG XL is among them so that a search names what it can't read.
PHOTOS = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".apng",
    ".gif",
    ".bmp",
    ".webp",
    ".tif",
    ".tiff",
    ".heic",
    ".heif",
    ".hif",
    ".avif",
    ".jp2",
    ".jxl",
)


def media_files(folder: Path) -> dict[str, list[int]]:
    """Videos and photos under a folder, by suffix: relative path -> [size, modification time in ns]. No hidden ones.

    A file or link that can't be looked at is among them, with zeros: it is for its reader to say what is wrong with it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: {'a file, not a folder' if folder.exists() else 'no such folder'}")
    found = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if hidden or path.suffix.lower() not in VIDEOS + PHOTOS:
            continue
        try:
            status = path.stat()
        except OSError:
            found[relative.as_posix()] = [0, 0]
            continue
        if stat.S_ISREG(status.st_mode):
            found[relative.as_posix()] = [status.st_size, status.st_mtime_ns]
    if not found:
        raise InputError(f"{folder}: holds no video or photo (by suffix: {' '.join(VIDEOS + PHOTOS)})")
    return found
