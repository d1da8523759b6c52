"""What a table is recognised by, wherever its files lie."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from vljepa_edge.errors import DataError


class Digest(NamedTuple):
    """How many rows a table has, and the SHA-256 of its texts and the names of its files, in their order."""

    rows: int
    sha256: str


@lru_cache
def table_digest(table: Path) -> Digest:
    """Of a table with `path` and `caption` in each row. Raises DataError for another."""
    try:
        rows = [json.loads(line) for line in table.read_text("utf-8").splitlines()]
        said = [[Path(row["path"]).name, row["caption"]] for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(table, f"must have a path and a caption in each row ({error!r})") from error
    return Digest(len(rows), hashlib.sha256(json.dumps(said).encode()).hexdigest())
