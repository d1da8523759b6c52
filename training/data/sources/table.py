"""Tables of clips: CSV, JSONL and Parquet with `path,start,end,caption` or `path,start,end,question,answer`.

`start` and `end` (seconds) may be left out or empty, and so may `text_key` and `negatives`, a JSON list of texts that
are wrong for the clip. A relative path is relative to the table. An empty question makes a sample of the query-free
stage.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from vljepa_edge.errors import DataError
from vljepa_edge.support.parquet import columns_of, rows_of
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources import checked
from vljepa_edge.training.data.sources.checked import Row
from vljepa_edge.training.data.sources.listed import Listed

_CAPTIONS, _ANSWERS = ("path", "caption"), ("path", "question", "answer")
_OPTIONAL = ("start", "end", "text_key", "negatives")
_BATCH = 4096  # rows of Parquet that are in memory at once
_FIELD_LIMIT = 2**24  # characters of a CSV field: one quote that is never closed takes the rest of the file

_Rows: TypeAlias = Iterator[tuple[str, Row]]


def read_table(path: str | Path, faults: list[DataError] | None = None) -> Listed:
    """The samples of a table, by its suffix. Raises DataError, naming the file and the line or row.

    faults: where rows that are not allowed go, instead of ending the reading.
    """
    path = Path(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(path, f"a table must end in {', '.join(_READERS)}")
    try:
        return Listed(str(path), _samples(path, read(path), faults))
    except OSError as error:
        raise DataError(path, f"can't be read ({error.strerror or error})") from error


def _samples(path: Path, rows: _Rows, faults: list[DataError] | None) -> Iterator[Sample]:
    for place, row in rows:
        try:
            yield _sample(path, place, row)
        except DataError as error:
            if faults is None:
                raise
            faults.append(error)


def _sample(path: Path, place: str, row: Row) -> Sample:
    file = str(path)
    caption = "caption" in row
    start, end = checked.stretch(row, file, place)
    return Sample(
        key=place.rpartition(" ")[2],
        media=os.path.join(path.parent, checked.text(row, "path", file, place)),
        target=checked.text(row, "caption" if caption else "answer", file, place),
        query="" if caption else checked.optional_text(row, "question", file, place) or "",
        start=start,
        end=end,
        text_key=checked.optional_text(row, "text_key", file, place),
        negatives=checked.texts(row, "negatives", file, place),
    )


def _check_columns(names: Sequence[str], file: str, place: str) -> None:
    """Raises DataError for columns that are missing, unknown or there twice, of which no reading would tell."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(file, f"the column {twice[0]!r} is there twice", place)
    needed = _ANSWERS if "caption" not in names else _CAPTIONS
    unknown = [name for name in names if name not in (*needed, *_OPTIONAL)]
    missing = [name for name in needed if name not in names]
    if missing or unknown:
        found = f"{'lacks' if missing else 'has the unknown'} {', '.join(missing or unknown)}"
        raise DataError(
            file, f"columns must be path, caption or path, question, answer, and may be {', '.join(_OPTIONAL)}; "
            f"this {found}", place,
        )  # fmt: skip


def _csv(path: Path) -> _Rows:
    file = str(path)
    csv.field_size_limit(_FIELD_LIMIT)
    with open(path, encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, strict=True)
        header: list[str] | None = None
        while True:
            try:
                fields = next(reader, None)
            except (csv.Error, UnicodeDecodeError) as error:
                raise DataError(file, f"is not CSV in UTF-8 ({error})", f"line {reader.line_num + 1}") from error
            place = f"line {reader.line_num}"
            if fields is None:
                break
            if header is None:
                header = [name.strip() for name in fields]
                _check_columns(header, file, place)
            elif fields:  # not a line without anything
                if len(fields) != len(header):
                    raise DataError(file, f"has {len(fields)} fields, the header {len(header)}", place)
                yield place, dict(zip(header, fields, strict=True))
        if header is None:
            raise DataError(file, "is empty; its first line must name the columns")


def _jsonl(path: Path) -> _Rows:
    file = str(path)
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            place = f"line {number}"
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig"))
            except (ValueError, RecursionError) as error:
                raise DataError(file, f"is not JSON in UTF-8 ({error})", place) from error
            if not isinstance(row, dict):
                raise DataError(file, f"must be a JSON object, got {type(row).__name__}", place)
            _check_columns([*row], file, place)
            yield place, row


def _parquet(path: Path) -> _Rows:
    columns = columns_of(path)
    _check_columns(columns, str(path), "")
    yield from rows_of(path, columns, _BATCH)


_READERS: dict[str, Callable[[Path], _Rows]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
SUFFIXES = tuple(_READERS)
