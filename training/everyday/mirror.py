"""A folder that holds copies of the originals: for machines without a way out, and for copies that are made smaller.

It has a folder a set, in it `manifest.jsonl` with a line an item: `file`, `source_repo`, `commit`, `path`,
`sha256_original`, and `captions` or `label`. Which copy is of which original must agree with the list that comes with
this package. A clip must be the original, byte for byte. A photograph may be encoded again; then it has no hash that is
known, and it must decode. The texts are the manifest's own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vljepa_edge.errors import DataError, VideoError
from vljepa_edge.training.everyday.download import Fault, OnFile, has_hash, writing
from vljepa_edge.training.everyday.originals import Original
from vljepa_edge.training.everyday.texts import texts_of
from vljepa_edge.video.stretch import FramePlan, read_frames

_PHOTOGRAPHS = (".jpg", ".jpeg", ".png", ".webp")
_PLAN = FramePlan(1, 32, 32, "stretch")


def copy_set(
    mirror: Path, name: str, items: Sequence[Original], folder: Path, on_file: OnFile | None = None
) -> tuple[dict[str, list[str]], list[Fault]]:
    """Copy a set's items into `folder`; returns their texts by the original's file, and what could not be had.

    A photograph that was encoded again has the suffix of its copy. Raises DataError for a manifest that can't be
    read.
    """
    rows = dict(_rows(mirror / name / "manifest.jsonl"))
    texts: dict[str, list[str]] = {}
    faults = []
    for done, item in enumerate(items, 1):
        row = rows.get((item.address.repo, item.address.commit, item.address.path))
        fault: Fault | None
        if row is None:
            fault = Fault(f"{name}/{item.file}", f"is not in {mirror / name / 'manifest.jsonl'}")
        elif row["sha256_original"] != item.address.sha256:
            fault = Fault(f"{name}/{item.file}", f"is of another original ({row['sha256_original']})")
        else:
            fault = _copy(mirror / name / row["file"], item, folder)
            if written := texts_of(item, row.get("captions") or [row.get("label", "")]):
                texts[item.file] = written
        if fault is not None:
            faults.append(fault)
        if on_file is not None:
            on_file(done, len(items))
    return texts, faults


def _rows(manifest: Path) -> Iterator[tuple[tuple[str, str, str], dict[str, Any]]]:
    try:
        lines = manifest.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(manifest, f"can't be read ({getattr(error, 'strerror', None) or error})") from error
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            place = tuple(row[key] for key in ("source_repo", "commit", "path"))
            said = [row["file"], row["sha256_original"], *row.get("captions", []), row.get("label", ""), *place]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(manifest, f"is not as a mirror's manifest must be ({error!r})", f"line {number}") from error
        if not all(isinstance(text, str) for text in said):
            raise DataError(manifest, "has something that must be a text and is none", f"line {number}")
        if Path(row["file"]).is_absolute() or ".." in Path(row["file"]).parts:
            raise DataError(manifest, f"file must lie in the mirror, got {row['file']}", f"line {number}")
        yield (place[0].removeprefix("github:"), place[1], place[2]), row


def _copy(source: Path, item: Original, folder: Path) -> Fault | None:
    """Copy one file, if it is not there yet. The copy of an original has the original's name."""
    target = folder / item.file
    try:
        if has_hash(target, item.address.sha256):
            return None
        same = has_hash(source, item.address.sha256)
        if not same:
            target = target.with_suffix(source.suffix)
        if not same and target.is_file() and target.stat().st_size == source.stat().st_size:
            return None  # it was looked at when it was copied
        if not same and source.suffix.lower() not in _PHOTOGRAPHS:
            reason = "is not there" if not source.is_file() else "is not the original (another SHA-256)"
            return Fault(str(source), reason)
        if not same:
            read_frames(source, _PLAN)
    except VideoError as error:
        return Fault(str(source), str(error).removeprefix(f"{source}: "))
    except OSError as error:
        return Fault(str(source), f"can't be read ({error.strerror or error})")
    with writing(target) as part:
        shutil.copyfile(source, part)
    return None
