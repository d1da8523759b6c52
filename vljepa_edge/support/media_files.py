"""The videos and photos of a folder."""

from __future__ import annotations

from pathlib import Path

from vljepa_edge.errors import InputError

VIDEOS = (
    ".mp4",
    ".m4v",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".mpg",
    ".mpeg",
    ".ts",
    ".m2ts",
    ".wmv",
    ".flv",
    ".ogv",
    ".3gp",
)
PHOTOS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")


def media_files(folder: Path) -> dict[str, list[int]]:
    """Videos and photos under a folder, by suffix: relative path -> [size, modification time in ns]. No hidden ones."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such directory")
    found = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if path.suffix.lower() in VIDEOS + PHOTOS and not hidden and path.is_file():
            status = path.stat()
            found[relative.as_posix()] = [status.st_size, status.st_mtime_ns]
    if not found:
        raise InputError(f"{folder}: holds no video or photo (by suffix: {' '.join(VIDEOS + PHOTOS)})")
    return found
