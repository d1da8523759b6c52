"""Annotations of a video: a text and the second that it speaks of. Two layouts are read.

`annotations.csv` with the columns path,time,text, where a path is relative to the table. And EgoExo4D's
`atomic_descriptions_*.json`, as its documentation shows it: flags are booleans in one place and "0" or "1" in another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.tables import csv_rows, json_of

Named = TypeVar("Named", Path, str)
COLUMNS = ("path", "time", "text")
_FLAGS = {True: True, False: False, "0": False, "1": True, None: False}


class Annotation(NamedTuple):
    """time: seconds from the beginning of the video."""

    time: float
    text: str


def read_table(table: Path) -> dict[Path, list[Annotation]]:
    """The annotations of each video of a CSV, in the order of time: of a.mp4 and ./a.mp4 together, as they are one.

    Raises DataError that names the row.
    """
    found: dict[Path, list[Annotation]] = {}
    for place, row in csv_rows(table, *COLUMNS):
        if not row["path"]:
            raise DataError(table, "path must be a file, got nothing", place)
        annotation = _annotation(table, place, row["time"], row["text"])
        found.setdefault(table.parent / row["path"], []).append(annotation)
    return _complete(table, found)


def read_atomic(file: Path) -> dict[str, list[Annotation]]:
    """The atomic descriptions of each take by its uid, in the order of time.

    Annotators whose work was rejected are left out, and so are descriptions that their annotator was unsure of. All
    other annotators of a take count, as the paper says nothing else. Raises DataError that names the take.
    """
    held = json_of(file)
    try:
        items = list(held["annotations"].items())
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(file, 'must be JSON of the form {"annotations": {take_uid: [...]}}') from error
    found: dict[str, list[Annotation]] = {}
    for take, annotated in items:
        where = f"take {take}"
        if not is_name(take):
            raise DataError(file, f"a take must be named as a file is, got {take!r}")
        try:
            kept = [one for one in annotated if not _flag(file, where, one, "rejected")]
            for one in kept:
                sure = [said for said in one["descriptions"] if not _flag(file, where, said, "unsure")]
                given = [_annotation(file, where, said["timestamp"], said["text"]) for said in sure]
                found.setdefault(take, []).extend(given)
        except (KeyError, TypeError, AttributeError) as error:
            reason = f"an annotation must have descriptions with text and timestamp ({error})"
            raise DataError(file, reason, where) from error
    return _complete(file, found)


def is_name(value: object) -> bool:
    """Whether a file or folder can have this name: it leads nowhere else."""
    return isinstance(value, str) and value not in ("", ".", "..") and not set(value) & set("/\\\0")


def _flag(file: Path, where: str, record: Mapping[str, Any], name: str) -> bool:
    value = record.get(name)
    if not isinstance(value, (bool, str, type(None))) or value not in _FLAGS:
        raise DataError(file, f'{name} must be true, false, "0" or "1", got {value!r}', where)
    return _FLAGS[value]


def _annotation(file: Path, where: str, time: Any, text: Any) -> Annotation:
    try:
        seconds = float(time)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise DataError(file, f"time must be seconds, 0 or more, got {time!r}", where)
    if not isinstance(text, str) or not text.strip():
        raise DataError(file, f"text must be a text, got {text!r}", where)
    return Annotation(seconds, text.strip())


def _complete(file: Path, found: dict[Named, list[Annotation]]) -> dict[Named, list[Annotation]]:
    kept = {name: sorted(given) for name, given in found.items() if given}
    if not kept:
        raise DataError(file, "must have annotations, got none")
    return kept
