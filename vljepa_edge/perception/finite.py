"""What every embedding must be before anything is computed from it: finite, and of unit norm."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import EngineError


def check_finite(graph: str, embedding: NDArray[np.floating[Any]]) -> None:
    """Raises EngineError, naming the graph, when an embedding [..., E] has NaN or infinite values."""
    if not np.isfinite(embedding).all():
        raise not_finite(graph, "embedding is")


def unit(graph: str, embedding: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """An embedding [..., E] of a graph, scaled to unit norm: float32, whatever precision the graph computes in.

    Raises EngineError, naming the graph, when one has NaN or infinite values or is zero.
    """
    exact = np.asarray(embedding, np.float64)
    check_finite(graph, exact)
    norms = np.linalg.norm(exact, axis=-1, keepdims=True)
    if not norms.all():
        raise EngineError(
            f"{graph}: the embedding is zero, so it has no direction; its numbers underflow, or the model is broken"
        )
    scaled: NDArray[np.float32] = (exact / norms).astype(np.float32)
    return scaled


def not_finite(graph: str, what: str) -> EngineError:
    """The error of a graph whose output, such as "embedding is" or "logits are", has NaN or infinite values."""
    remedy = f"try precision='f32', or with TensorRT: vljepa build --f32 {graph}"
    return EngineError(f"{graph}: the {what} not finite; its numbers overflow at this precision, {remedy}")
