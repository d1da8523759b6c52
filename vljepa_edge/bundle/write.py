"""Writing a bundle: beside its place, verified, then moved there. Nothing but a bundle is ever replaced."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Collection, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from vljepa_edge.bundle.manifest import MANIFEST, SCHEMA, parse_manifest
from vljepa_edge.bundle.store import SUFFIX, Bundle, read_listing
from vljepa_edge.errors import BundleError
from vljepa_edge.support.atomic import replacing, require_writable
from vljepa_edge.support.folders import first_other, replacing_folder

CARD = "MODEL_CARD.md"
"""The file of a bundle's model card."""
_CHUNK = 1 << 20


def parts_of(bundle: Bundle, leave_out: Collection[str] = ()) -> tuple[dict[str, Any], dict[str, bytes | Path]]:
    """What `write_bundle` takes to write a bundle again: its manifest as JSON values, and its files but for those left
    out. Both are the caller's to change. Raises BundleError."""
    manifest = bundle.manifest.model_dump(mode="json", by_alias=True, exclude={"created", "files"})
    return manifest, {name: bundle.read(name) for name in bundle.manifest.entries() if name not in leave_out}


def write_bundle(
    out: str | os.PathLike[str], manifest_without_hashes: Mapping[str, Any], files: Mapping[str, bytes | Path]
) -> Path:
    """Write a bundle: a zip when `out` ends with .vljepa, else a folder. Returns `out`.

    Sizes, hashes, `files` and `created` of the manifest are filled in. The bundle is written beside `out`, verified,
    and renamed: a full disk or Ctrl-C leaves `out` as it was. A bundle at `out` is replaced when it holds nothing but
    its own files; anything else there is left alone. A link at `out` stays, and what it points to is replaced.
    Raises BundleError.
    """
    target = Path(os.path.realpath(out))
    own = check_replaceable(target)
    raw = _complete(manifest_without_hashes, files)
    contents = {MANIFEST: raw, **files}
    try:
        if target.suffix == SUFFIX:
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as part:
                _write_zip(part, contents)
                Bundle.open(part)
        else:
            with replacing_folder(target, own) as part:
                _write_folder(part, contents)
                Bundle.open(part)
    except OSError as error:
        raise BundleError(out, f"can't be written: {error.strerror or error}") from error
    return Path(out)


def check_replaceable(out: str | os.PathLike[str]) -> Collection[str]:
    """The names of the files that writing a bundle at `out` replaces: none, or those of the bundle that is there.

    Raises BundleError unless nothing is there, an empty folder or file, or a bundle without any other file in it, and
    where nothing can be written beside it.
    """
    target = Path(os.path.realpath(out))
    try:
        require_writable(next(folder for folder in target.parents if folder.exists()))
    except OSError as error:
        raise BundleError(out, f"can't be written: {error.strerror or error}") from error
    if not target.exists():
        return ()
    try:
        own, other = _existing(target)
    except OSError as error:
        raise BundleError(target, f"can't be read: {error.strerror or error}") from error
    if other is not None:
        reason = f"holds {other}, which is not part of the bundle there"
        raise BundleError(out, f"{reason}, so it is left alone; move that file, or choose another place")
    return own


def _existing(target: Path) -> tuple[Collection[str], str | None]:
    """What is at `target`: the files of a bundle, and the first one that is not of it. Raises BundleError, OSError."""
    left_alone = "so it is left alone; choose another place, or remove it"
    if (target.suffix == SUFFIX) != target.is_file():
        raise BundleError(target, f"exists and is not a bundle, {left_alone}")
    if (target.stat().st_size if target.is_file() else len(os.listdir(target))) == 0:
        return (), None
    try:
        names, raw = read_listing(target)
        own = {MANIFEST, *parse_manifest(raw).entries()}
    except BundleError as error:
        raise BundleError(target, f"exists and is not a bundle ({error}), {left_alone}") from error
    if target.is_file():
        return own, next((name for name in names if name not in own), None)
    return own, first_other(target, own)


def _complete(given: Mapping[str, Any], files: Mapping[str, bytes | Path]) -> bytes:
    """The manifest with what can be measured filled in."""
    entries = {name: _measure(name, data) for name, data in files.items()}
    manifest = {"schema": SCHEMA, "created": datetime.now(timezone.utc).isoformat(timespec="seconds"), **given}
    graphs = {}
    for role, graph in given.get("graphs", {}).items():
        name = graph.get("file")
        if name not in entries:
            raise BundleError(name, f"is named by graph {role} but is not among the files given")
        graphs[role] = {**graph, **entries[name]}
    named = {graph["file"] for graph in graphs.values()}
    manifest["graphs"] = graphs
    manifest["files"] = {name: entry for name, entry in entries.items() if name not in named}
    try:
        raw = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BundleError(MANIFEST, f"can't be written as JSON: {error}") from None
    parse_manifest(raw)
    return raw


def _measure(name: str, data: bytes | Path) -> dict[str, str | int]:
    if isinstance(data, bytes):
        return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    digest = hashlib.sha256()
    try:
        with open(data, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
            return {"sha256": digest.hexdigest(), "bytes": file.tell()}
    except OSError as error:
        raise BundleError(name, f"can't be read from {data}: {error.strerror or error}") from error


def _write_folder(folder: Path, contents: Mapping[str, bytes | Path]) -> None:
    for name, data in contents.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, bytes):
            file.write_bytes(data)
        else:
            shutil.copyfile(data, file)


def _write_zip(path: Path, contents: Mapping[str, bytes | Path]) -> None:
    """Stored, not packed: weights hardly shrink, and a stored graph loads faster."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in contents.items():
            if isinstance(data, bytes):
                archive.writestr(name, data)
            else:
                archive.write(data, name)
