"""Values of a row as a sample wants them. What is not allowed is a DataError that names the file and the row."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from vljepa_edge.errors import DataError

Row = Mapping[str, object]


def text(row: Row, column: str, file: str, place: str) -> str:
    """A text that is not empty, without white space around it."""
    value = optional_text(row, column, file, place)
    if value is None:
        raise DataError(file, f"{column} must be a text, got an empty one", place)
    return value


def optional_text(row: Row, column: str, file: str, place: str) -> str | None:
    """A text, or None for an empty or missing one."""
    value = row.get(column)
    if value is None:
        return None
    if not isinstance(value, str):
        raise DataError(file, f"{column} must be a text, got {value!r}", place)
    return _unicode(value.strip(), column, file, place) or None


def seconds(row: Row, column: str, file: str, place: str) -> float | None:
    """A time of 0 or more, or None for an empty or missing one."""
    value = row.get(column)
    if value is None or value == "":
        return None
    try:
        number = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise DataError(file, f"{column} must be seconds, 0 or more, got {value!r}", place)
    return number


def stretch(row: Row, file: str, place: str) -> tuple[float | None, float | None]:
    """`start` and `end`, the one before the other."""
    start, end = seconds(row, "start", file, place), seconds(row, "end", file, place)
    if end is not None and (start or 0.0) >= end:
        raise DataError(file, f"end must come after start, got {start or 0:g} to {end:g} s", place)
    return start, end


def texts(row: Row, column: str, file: str, place: str) -> tuple[str, ...]:
    """A list of texts, as one or as JSON."""
    value = row.get(column)
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise DataError(file, f"{column} must be a JSON list of texts, got {value!r}", place) from None
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise DataError(file, f"{column} must be a list of texts that are not empty, got {value!r}", place)
    return tuple(_unicode(item.strip(), column, file, place) for item in value)


def _unicode(value: str, column: str, file: str, place: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise DataError(file, f"{column} must be valid Unicode, got {value!r}", place) from None
    return value
