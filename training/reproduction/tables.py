"""Tables of the folder of data, as what the figures of an arm are recognised by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vljepa_edge.training.everyday.digest import table_digest


def digests(data: Path, tables: Sequence[str]) -> dict[str, str]:
    """By name the digest of each. Raises DataError."""
    return {name: table_digest(data / name).sha256[:16] for name in tables}
