"""Where a command is to write, checked before it works: a mistake is told at once, and by the name that was given."""

from __future__ import annotations

import os
from pathlib import Path

from vljepa_edge.errors import InputError
from vljepa_edge.support.atomic import require_writable


def check_place(path: Path, source: str | None = None, option: str = "--out") -> None:
    """Raises InputError where the file `path` can't be written, or is the source, and VideoError where that can be
    none."""
    if path.is_dir():
        raise InputError(f"{option} must be a file, got the folder {path}")
    place = Path(os.path.realpath(path))
    if not place.parent.is_dir():
        raise InputError(f"{option}: {place.parent} is no folder; make it first")
    if source is not None and _is_source(place, source):
        raise InputError(f"{option} must be another file than the source, got {path}")
    if place.exists() and not place.is_file():
        return  # a pipe or a device
    try:
        require_writable(place.parent)
    except OSError as error:
        raise InputError(f"{option}: {path} can't be written: {error.strerror}") from error


def make_folder(path: Path, option: str = "--out") -> None:
    """Make the folder that files are to be written into. Raises InputError where that can't be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        require_writable(path)
    except FileExistsError:
        raise InputError(f"{option} must be a folder, got the file {path}") from None
    except OSError as error:
        raise InputError(f"{option}: {path} can't be written: {error.strerror}") from error


def _is_source(place: Path, source: str) -> bool:
    from vljepa_edge.video.inputs import file_path, is_live

    origin = None if is_live(source) else Path(file_path(source))
    return origin is not None and place.exists() and origin.exists() and place.samefile(origin)
