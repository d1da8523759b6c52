"""Reading annotation files: JSON, JSON lines and CSV, with errors that name the file and the place in it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from vljepa_edge.errors import DataError
from vljepa_edge.support.arguments import shown


def json_of(file: Path) -> Any:
    """What a JSON file holds. Raises DataError."""
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise _unreadable(file, error) from error
    except (ValueError, RecursionError) as error:
        raise DataError(file, f"must be JSON in UTF-8: {error}") from error


def json_object(file: Path) -> dict[str, Any]:
    """A JSON file that holds an object. Raises DataError."""
    found = json_of(file)
    if not isinstance(found, dict):
        raise DataError(file, f"must hold a JSON object, got {type(found).__name__}")
    return found


def json_list(file: Path) -> Iterator[tuple[str, Any]]:
    """The place and value of each entry of a JSON list. Raises DataError."""
    found = json_of(file)
    if not isinstance(found, list):
        raise DataError(file, f"must hold a JSON list, got {type(found).__name__}")
    yield from ((f"entry {number}", value) for number, value in enumerate(found))


def json_lines(file: Path) -> Iterator[tuple[str, Any]]:
    """The place and value of each line of JSON. Raises DataError."""
    for place, line in lines_of(file):
        try:
            yield place, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(file, f"must be JSON: {error}", place) from error


def lines_of(file: Path) -> Iterator[tuple[str, str]]:
    """The place and the text of each line that isn't blank, without blanks around it. Raises DataError."""
    for number, line in enumerate(text_of(file).split("\n"), 1):
        if line.strip():
            yield f"line {number}", line.strip()


def csv_rows(
    file: Path, *columns: str, delimiter: str = ",", quoted: bool = True
) -> Iterator[tuple[str, dict[str, str]]]:
    """The place and the cells of each row of a table with a header that has these columns. Raises DataError."""
    lines = io.StringIO(text_of(file), newline="")
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.DictReader(lines, delimiter=delimiter, quoting=quoting, strict=quoted)
    try:
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise DataError(file, f"must have the columns {', '.join(columns)}, lacks {', '.join(missing)}")
        for number, row in enumerate(reader, 1):
            if None in row or any(row[name] is None for name in columns):
                hint = "; a text with a comma must stand in quotes" if None in row and quoted else ""
                raise DataError(file, f"must have {len(reader.fieldnames or ())} cells{hint}", f"row {number}")
            yield f"row {number}", row
    except csv.Error as error:
        raise DataError(file, f"must be CSV: {error}") from error


def csv_lists(file: Path, width: int) -> Iterator[tuple[str, list[str]]]:
    """The place and the cells of each row of a table without a header, `width` cells wide. Raises DataError."""
    try:
        for number, row in enumerate(csv.reader(io.StringIO(text_of(file), newline=""), strict=True), 1):
            if not row:
                continue  # a blank line
            if len(row) != width:
                raise DataError(file, f"must have {width} cells, got {len(row)}", f"row {number}")
            yield f"row {number}", row
    except csv.Error as error:
        raise DataError(file, f"must be CSV: {error}") from error


def field_of(file: Path, place: str, row: Any, name: str) -> Any:
    """A value of an entry. Raises DataError for an entry that is no object or lacks it."""
    if not isinstance(row, Mapping) or name not in row:
        raise DataError(file, f"must be an object with {name!r}", place)
    return row[name]


def list_of(file: Path, place: str, row: Any, name: str) -> list[Any]:
    """A value of an entry that is a list. Raises DataError."""
    found = field_of(file, place, row, name)
    if not isinstance(found, list):
        raise DataError(file, f"{name} must be a list, got {type(found).__name__}", place)
    return found


def texts_of(file: Path, place: str, row: Any, *names: str) -> list[str]:
    """Values of an entry that are texts with at least one letter. Raises DataError."""
    found = [field_of(file, place, row, name) for name in names]
    for name, value in zip(names, found, strict=True):
        if not isinstance(value, str) or not value.strip():
            raise DataError(file, f"{name} must be a text with at least one letter, got {value!r}", place)
    return found


def number_of(file: Path, place: str, value: object) -> float:
    """A finite number, which may be written as text. Raises DataError."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not abs(number) < float("inf"):
        raise DataError(file, f"must have a number, got {shown(value)}", place)
    return number


def seconds_of(file: Path, place: str, stamp: str) -> float:
    """Seconds of a time such as 00:01:02.35. Raises DataError."""
    found = 0.0
    for part in stamp.split(":"):
        found = 60 * found + number_of(file, place, part)
    return found


def stretch_of(file: Path, place: str, values: object) -> tuple[float, float]:
    """A start and an end after it, in seconds. Raises DataError."""
    if not isinstance(values, list | tuple) or len(values) != 2:
        raise DataError(file, f"must have a start and an end, got {values!r}", place)
    start, end = (number_of(file, place, value) for value in values)
    if not 0 <= start < end:
        raise DataError(file, f"must have an end after its start, got {start:g} to {end:g} s", place)
    return start, end


def text_of(file: Path) -> str:
    """All of a text file, its line ends as they are. Raises DataError."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            return opened.read()
    except OSError as error:
        raise _unreadable(file, error) from error
    except UnicodeDecodeError as error:
        raise DataError(file, f"must be text in UTF-8: {error}") from error


def _unreadable(file: Path, error: OSError) -> DataError:
    return DataError(file, f"can't be read: {error.strerror or error}")
