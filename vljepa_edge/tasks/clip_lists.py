"""Clips of a user's own on disk: a folder for each label, or a table of stretches of videos."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import DataError, InputError
from vljepa_edge.support.media_files import PHOTOS, media_files
from vljepa_edge.tasks.clips import Clip
from vljepa_edge.video.source import open_source

COLUMNS = ("path", "start", "end", "label")


class Pictures:
    """Photos that are the frames of a clip, in the order of their names. They are read when they are asked for."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for path in self.paths:
            with open_source(path) as photo:
                yield next(photo).image


def read_folder(folder: Path) -> dict[str, list[Clip]]:
    """Label -> clips of `folder`/LABEL/: each video, and each photo that lies there, is a clip; a folder further down
    that holds two photos or more and no video is one clip, whose frames they are at the model's rate.

    Hidden files and folders are left out. Raises InputError when there are not two labels with clips.
    """
    if not folder.is_dir():
        what = "a file" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {what}; give a folder with one of clips for each label, or a .csv table")
    labels = [item for item in sorted(folder.iterdir()) if item.is_dir() and not item.name.startswith(".")]
    if len(labels) < 2:
        wanted = f"{folder}/LABEL/*.mp4, and a folder `nothing` for what is no event"
        raise InputError(f"{folder}: must hold a folder for each of two labels or more, {wanted}")
    return {label.name: list(_clips(label)) for label in labels}


def _clips(label: Path) -> Iterator[Clip]:
    inside: dict[Path, list[Path]] = {}
    for name in media_files(label):
        inside.setdefault((label / name).parent, []).append(label / name)
    for parent, paths in inside.items():
        photos = [path for path in paths if path.suffix.lower() in PHOTOS and path.suffix.lower() != ".gif"]
        if parent != label and len(photos) == len(paths) > 1:
            yield Clip(Pictures(photos), name=str(parent))
        else:
            yield from (Clip(path) for path in paths)


def read_table(path: Path) -> dict[str, list[Clip]]:
    """Label -> clips of a CSV table with the columns path, label and, where wanted, start and end (seconds; empty: the
    first, or the last frame). Paths are relative to the table's folder.

    Raises DataError, naming the table and the line.
    """
    found: dict[str, list[Clip]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            header = [name.strip().lower() for name in next(lines, [])]
            _check_header(path, header)
            for row in lines:
                if any(cell.strip() for cell in row):
                    label, clip = _clip_of(path, f"line {lines.line_num}", header, row)
                    found.setdefault(label, []).append(clip)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(path, f"can't be read: {reason}") from error
    except csv.Error as error:
        raise DataError(path, f"is not CSV: {error}", f"line {lines.line_num}") from error
    if not found:
        raise DataError(path, "holds no clip; write a line for each, path,start,end,label")
    return found


def _check_header(path: Path, header: list[str]) -> None:
    unknown = [name for name in header if name not in COLUMNS]
    if unknown or len(set(header)) != len(header) or not {"path", "label"} <= set(header):
        wanted = f"must begin with a line that names its columns, {','.join(COLUMNS)}"
        raise DataError(path, f"{wanted}, got {','.join(header)[:80]!r}", "line 1")


def _clip_of(path: Path, place: str, header: list[str], row: list[str]) -> tuple[str, Clip]:
    if len(row) != len(header):
        raise DataError(path, f"has {len(row)} cells, the header {len(header)}; quote a text with a comma", place)
    cells = {name: cell.strip() for name, cell in zip(header, row, strict=True)}
    for name in ("path", "label"):
        if not cells[name]:
            raise DataError(path, f"has no {name}", place)
    times = {}
    for name in ("start", "end"):
        text = cells.get(name, "")
        try:
            times[name] = float(text) if text else None
        except ValueError:
            times[name] = math.nan
        if times[name] is not None and not math.isfinite(times[name] or 0.0):
            raise DataError(path, f"{name} must be a number of seconds, or empty, got {text[:40]!r}", place)
    try:
        return cells["label"], Clip(path.parent / cells["path"], times["start"], times["end"])
    except InputError as error:
        raise DataError(path, str(error), place) from error


def read_clips(place: Path) -> dict[str, list[Clip]]:
    """The clips of a .csv table or of a folder. Raises as `read_table` and `read_folder` do."""
    return read_table(place) if place.suffix.lower() == ".csv" else read_folder(place)
