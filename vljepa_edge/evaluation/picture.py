"""Pictures of figures, written so that the same figures give a file without a date in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_edge.support.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_picture(canvas: Figure, file: Path) -> None:
    """Atomically, in the format that the suffix names. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as part:
        canvas.savefig(part, format=file.suffix[1:], metadata={"Date": None} if file.suffix == ".svg" else None)
