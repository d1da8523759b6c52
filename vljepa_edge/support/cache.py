"""Where this package keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """`$VLJEPA_CACHE`, else `$XDG_CACHE_HOME/vljepa-edge`, else `~/.cache/vljepa-edge`."""
    if chosen := os.environ.get("VLJEPA_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vljepa-edge"
