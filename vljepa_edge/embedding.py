"""What every embedding must be before anything is computed from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import EngineError


def check_finite(graph: str, embedding: NDArray[np.float32]) -> None:
    """Raises EngineError, naming the graph, when an embedding [..., E] has NaN or infinite values."""
    if not np.isfinite(embedding).all():
        raise EngineError(
            f"{graph}: the embedding is not finite; its numbers overflow at this precision, try precision='f32'"
        )
