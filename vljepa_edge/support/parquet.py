"""Rows of Parquet files, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vljepa_edge.errors import DataError


def columns_of(file: Path) -> list[str]:
    """The names of a file's columns. Raises DataError."""
    with _readable(file):
        return list(pq.read_schema(file).names)


def rows_of(file: Path, columns: Sequence[str], size: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The place, as `row 1`, and the values of each row; `size` rows are in memory at once.

    Raises DataError for columns that are not there and for a damaged file.
    """
    missing = [name for name in columns if name not in columns_of(file)]
    if missing:
        raise DataError(file, f"lacks the columns {', '.join(missing)}")
    number = 0
    with _readable(file), pq.ParquetFile(file) as table:
        for batch in table.iter_batches(batch_size=size, columns=list(columns)):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, ValueError, OverflowError) as error:  # of damaged texts and dates too
        raise DataError(file, f"is not Parquet that can be read ({error})") from error
