"""An index on disk: index.json, which is replaced in one step, and the two arrays that it names.

A save writes arrays under new names, replaces index.json, and then removes the arrays that index.json no longer names.
A reader whose arrays went away reads index.json again: it was replaced. Saves wait for each other with a lock on the
folder, which the system releases however a program ends; what one that was killed left behind, the next save removes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import IndexFileError
from vljepa_edge.support.atomic import replacing, require_writable
from vljepa_edge.support.locked import locked

SCHEMA = 1
INDEX = "index.json"
Arrays = dict[str, NDArray[Any]]  # "embeddings" float32 [N, E], "spans" float64 [N, 3]
_DTYPES: dict[str, np.dtype[Any]] = {"embeddings": np.dtype("<f4"), "spans": np.dtype("<f8")}
_FILE = re.compile(r"(embeddings|spans)-([0-9a-f]{8}|[0-9a-f]{16})\.npy")
_STRAY = re.compile(r"(embeddings|spans)-[0-9a-f]{16}\.npy")  # what only a save can have left behind
_HEADER = re.compile(rb"\{'descr': '(<f[48])', 'fortran_order': False, 'shape': \((\d{1,15}), (\d{1,9})\), \} *\n")
_MAGIC = b"\x93NUMPY\x01\x00"
_AGAIN = "to index again, delete it or name another folder"


def write_index(folder: Path, note: Mapping[str, Any], arrays: Arrays) -> None:
    """Save the arrays and the note, in place of an index that is there.

    Raises IndexFileError when they can't be written, or when the index.json that is there is not of an index; what was
    there is then as it was.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder) as alone:
            before = _named(_read_note(folder / INDEX)[1]) if os.path.lexists(folder / INDEX) else set()
            if alone:
                before |= {name for name in os.listdir(folder) if _STRAY.fullmatch(name)}
            kept = _write(folder, note, arrays)
            for name in before - kept:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise IndexFileError(folder, f"can't be written: {error.strerror or error}") from error


def check_writable(folder: Path) -> None:
    """Raises IndexFileError where an index can't be written into a folder, which need not be there yet; for who makes
    one for long. Nothing is made."""
    there = next((place for place in (folder, *folder.absolute().parents) if os.path.lexists(place)), folder)
    try:
        require_writable(there)
    except OSError as error:
        raise IndexFileError(folder, f"can't be written: {error.strerror or error}") from error


def read_index(folder: Path, digest: str, model: str, width: int) -> tuple[dict[str, Any], Arrays]:
    """The note and the arrays, the embeddings mapped from disk, of the model with that digest and name.

    Raises IndexFileError, naming the file, when one is missing, altered or broken, or is of another model.
    """
    while True:
        raw, note = _read_note(folder / INDEX)
        if note["bundle"] != digest:
            raise IndexFileError(folder / INDEX, f"was made by another model than {model}; {_AGAIN}")
        try:
            arrays = {
                kind: _read_array(folder, note, kind, size) for kind, size in (("embeddings", width), ("spans", 3))
            }
        except IndexFileError:
            if _read_note(folder / INDEX)[0] == raw:
                raise
            continue  # it was replaced while it was read
        _check(folder / INDEX, note, arrays)
        return note, arrays


def _write(folder: Path, note: Mapping[str, Any], arrays: Arrays) -> set[str]:
    """Returns the names of the files. They reach the disk before index.json names them."""
    stamp = secrets.token_hex(8)
    files = {kind: folder / f"{kind}-{stamp}.npy" for kind in arrays}
    entries = {}
    try:
        for kind, file in files.items():
            with file.open("xb") as out:
                np.save(out, np.ascontiguousarray(arrays[kind], _DTYPES[kind]))
                out.flush()
                os.fsync(out.fileno())
            with file.open("rb") as saved:
                entries[kind] = {"file": file.name, "sha256": _sha256(saved)}
        with replacing(folder / INDEX) as part, part.open("w", encoding="ascii") as out:
            # In ASCII, since names of files need not be valid Unicode.
            json.dump({"schema": SCHEMA, **note, "arrays": entries}, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
    except BaseException:
        for file in files.values():
            with suppress(OSError):
                file.unlink(missing_ok=True)
        raise
    return {file.name for file in files.values()}


def _read_note(path: Path) -> tuple[bytes, dict[str, Any]]:
    """The bytes of index.json and what they say, in part checked."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise IndexFileError(path, f"can't be read ({error.strerror}); give a folder that Index.save wrote") from error
    try:
        note = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise IndexFileError(path, f"is not JSON; {_AGAIN}") from error
    kinds: dict[str, type] = {"schema": int, "bundle": str, "query": str, "names": list, "arrays": dict}
    if not isinstance(note, dict) or any(not isinstance(note.get(key), kind) for key, kind in kinds.items()):
        raise IndexFileError(path, f"is not the note of an index; {_AGAIN}")
    if note["schema"] != SCHEMA:
        raise IndexFileError(path, f"has schema {note['schema']}, this version reads {SCHEMA}; {_AGAIN}")
    names = note["names"]
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise IndexFileError(path, f"has names that are not texts, or one twice; {_AGAIN}")
    stamps = note.setdefault("stamps", [None] * len(names))
    if not isinstance(stamps, list) or len(stamps) != len(names):
        raise IndexFileError(path, f"has stamps that do not fit its names; {_AGAIN}")
    try:
        note["query"].encode()
    except UnicodeEncodeError as error:
        raise IndexFileError(path, f"has a query that is not valid Unicode; {_AGAIN}") from error
    return raw, note


def _named(note: Mapping[str, Any]) -> set[str]:
    """The files that a note names as arrays of an index: no other name is ever removed."""
    files = [entry.get("file") for entry in note["arrays"].values() if isinstance(entry, dict)]
    return {file for file in files if isinstance(file, str) and _FILE.fullmatch(file)}


def _read_array(folder: Path, note: Mapping[str, Any], kind: str, width: int) -> NDArray[Any]:
    """Map one array after checking its name, hash, type and shape. What is mapped is the file that was hashed."""
    entry = note["arrays"].get(kind)
    name = entry.get("file") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not _FILE.fullmatch(name) or not name.startswith(kind):
        raise IndexFileError(folder / INDEX, f"names no valid file for its {kind}; {_AGAIN}")
    path = folder / name
    try:
        with path.open("rb") as file:
            if _sha256(file) != entry.get("sha256"):
                raise IndexFileError(path, f"is not what was saved (its hash differs); {_AGAIN}")
            return _map(file, path, _DTYPES[kind], width)
    except (OSError, ValueError) as error:
        raise IndexFileError(path, f"can't be read ({error}); {_AGAIN}") from error


def _map(file: IO[bytes], path: Path, dtype: np.dtype[Any], width: int) -> NDArray[Any]:
    """NumPy's own reader evaluates the header as Python, with whatever errors a damaged one gives."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(10)
    length = int.from_bytes(start[8:], "little")
    header = _HEADER.fullmatch(file.read(length))
    if not start.startswith(_MAGIC) or header is None:
        raise IndexFileError(path, f"is not an array that Index.save wrote; {_AGAIN}")
    found, shape = header[1].decode(), (int(header[2]), int(header[3]))
    if found != dtype.str or shape[1] != width or size != 10 + length + shape[0] * width * dtype.itemsize:
        raise IndexFileError(path, f"is {found} {shape} in {size} bytes, not {dtype.str} (N, {width}); {_AGAIN}")
    if not shape[0]:
        return np.empty(shape, dtype)
    return np.memmap(file, dtype, "r", 10 + length, shape)


def _check(path: Path, note: Mapping[str, Any], arrays: Arrays) -> None:
    embeddings, spans = arrays["embeddings"], arrays["spans"]
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(embeddings.sum(axis=1)).all() and np.isfinite(spans).all()
    fits = len(embeddings) == len(spans) and np.isin(spans[:, 0], np.arange(len(note["names"]))).all()
    if not finite or not fits or (spans[:, 1] > spans[:, 2]).any():
        raise IndexFileError(path, f"does not fit its arrays, or they hold invalid values; {_AGAIN}")


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()
