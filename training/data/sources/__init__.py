"""Where training data comes from: `open_source` says which kind a file or folder is of."""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vljepa_edge.errors import DataError, InputError
from vljepa_edge.training.data.sources.action100m import has_schema, read_action100m
from vljepa_edge.training.data.sources.folder import read_folder
from vljepa_edge.training.data.sources.future import Future
from vljepa_edge.training.data.sources.lerobot import read_lerobot
from vljepa_edge.training.data.sources.listed import FileSource
from vljepa_edge.training.data.sources.shards import read_shards
from vljepa_edge.training.data.sources.table import SUFFIXES, read_table
from vljepa_edge.video.lerobot import INFO

KINDS: dict[str, Callable[..., FileSource]] = {
    "table": read_table,
    "folder": read_folder,
    "shards": read_shards,
    "action100m": read_action100m,
    "lerobot": read_lerobot,
}

# `pipe:` is webdataset's, the output of a command; a Path has one slash less than its address.
_ELSEWHERE = re.compile(r"pipe:|[A-Za-z][A-Za-z0-9+.-]+:/")


def open_source(spec: str | Path | Mapping[str, Any], faults: list[DataError] | None = None) -> FileSource:
    """A source of samples.

    spec: a path, or `{"path": ..., "kind": ..., "future": ...}` with the options of that kind. The kind is told by the
    path where it is not named: a .csv, .jsonl or .parquet is a table (Parquet with `video_uid` and `nodes` is
    Action100M's, which needs `videos`), a .tar or a folder with some is webdataset's, a folder with meta/info.json is
    LeRobot's, another is one of videos and images. A kind `module:Class` is a class of yours with what a FileSource
    has; the options are its arguments. future: seconds after the end of what is seen at which the target holds.
    faults: where rows of a table that are not allowed go, instead of ending the reading.
    Raises InputError for a spec that is not allowed, DataError for data that can't be used.
    """
    options = dict(spec) if isinstance(spec, Mapping) else {"path": spec}
    plugged = options.get("kind")
    if isinstance(plugged, str) and ":" in plugged:
        return _plugged(plugged, {name: value for name, value in options.items() if name != "kind"})
    path = options.pop("path", None)
    if not isinstance(path, (str, Path)) or not str(path):
        raise InputError(f"a source must have a path, got {path!r}")
    if _ELSEWHERE.match(str(path)) and not os.path.exists(path):
        raise InputError(
            f"{path} must be on this machine, so that a run that is resumed takes what it would have taken; "
            "fetch tars by `vljepa data fetch ADDRESS --out DIR`, write the output of a command to a file"
        )
    kind, future = options.pop("kind", None), options.pop("future", None)
    if kind is None:
        kind = kind_of(Path(path))
    if kind not in KINDS:
        raise InputError(f"the kind of a source must be one of {', '.join(KINDS)}, got {kind!r}")
    allowed = [name for name in inspect.signature(KINDS[kind]).parameters if name not in ("path", "folder", "faults")]
    unknown = [name for name in options if name not in allowed]
    if unknown:
        takes = f"takes {', '.join(allowed)}" if allowed else "takes no options"
        raise InputError(f"{path}: a source of kind {kind} {takes}, got {', '.join(map(str, unknown))}")
    if kind == "action100m" and "videos" not in options:
        raise InputError(f"{path}: Action100M needs videos, the folder in which its videos are")
    source = read_table(path, faults) if kind == "table" else KINDS[kind](path, **options)
    if future is None:
        return source
    if isinstance(future, bool) or not isinstance(future, (int, float)):
        raise InputError(f"future must be seconds, got {future!r}")
    return Future(source, float(future))


def _plugged(kind: str, options: Mapping[str, Any]) -> FileSource:
    """A source of a class that the spec names. Only a class that has what a source has is called; nothing else runs."""
    module, _, name = kind.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"the kind of a source, {kind!r}, can't be imported: {error}") from error
    needed = ("__len__", "__getitem__", "frames", "open", "duration")
    if not isinstance(found, type) or not all(callable(getattr(found, method, None)) for method in needed):
        raise InputError(f"{kind} must be a class with {', '.join(needed)}")
    try:
        inspect.signature(found).bind(**options)
    except TypeError as error:
        raise InputError(f"{kind}: {error}; its options are {', '.join(inspect.signature(found).parameters)}") from None
    source: FileSource = found(**options)
    return source


def kind_of(path: Path) -> str:
    """The kind of the source that a path is. Raises DataError where there is none."""
    suffix = path.suffix.lower()
    if path.is_dir():
        if (path / INFO).is_file():
            return "lerobot"
        if next(path.glob("[!.]*.tar"), None) is not None:
            return "shards"
        parquet = next(path.rglob("*.parquet"), None)
        return "action100m" if parquet is not None and has_schema(parquet) else "folder"
    if not path.exists():
        raise DataError(path, "no such file or folder")
    if suffix == ".tar":
        return "shards"
    if suffix == ".parquet" and has_schema(path):
        return "action100m"
    if suffix in SUFFIXES:
        return "table"
    raise DataError(path, f"must be a folder, or end in {', '.join(SUFFIXES)} or .tar")
