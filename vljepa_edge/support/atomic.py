"""Files that are complete or not there: written beside their place, then moved over it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path beside `target`, with its suffix, to write to; at the end it takes the place of `target`.

    On an error or Ctrl-C it is removed, and what stood at `target` still stands there. Raises OSError.
    """
    part = target.with_name(f".{secrets.token_hex(4)}.{target.name}")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
