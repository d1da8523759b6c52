"""What every embedding must be before anything is computed from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import EngineError


def check_finite(graph: str, embedding: NDArray[np.float32]) -> None:
    """Raises EngineError, naming the graph, when an embedding [..., E] has NaN or infinite values."""
    if not np.isfinite(embedding).all():
        raise not_finite(graph, "embedding is")


def not_finite(graph: str, what: str) -> EngineError:
    """The error of a graph whose output, such as "embedding is" or "logits are", has NaN or infinite values."""
    return EngineError(f"{graph}: the {what} not finite; its numbers overflow at this precision, try precision='f32'")
