"""Tables of the folder of data, as what the figures of an arm are recognised by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from vljepa_edge.errors import DataError


def digests(data: Path, tables: Sequence[str]) -> dict[str, str]:
    """By name the digest of each. Raises DataError."""
    return {name: table_digest(data / name) for name in tables}


@lru_cache
def table_digest(table: Path) -> str:
    """Of the texts of a table and the names of its files in their order, wherever these lie. Raises DataError."""
    try:
        rows = [json.loads(line) for line in table.read_text("utf-8").splitlines()]
        said = [[Path(row["path"]).name, row["caption"]] for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(table, f"must have a path and a caption in each row ({error!r})") from error
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
