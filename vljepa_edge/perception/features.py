"""Features of a window: what the X-encoder gives the predictor, pooled to one row of numbers.

They know nothing of a query or of words. They are what few-shot heads read (see `vljepa_edge.Head`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vljepa_edge.bundle.manifest import Manifest

MOST_KEPT = 4096
_POOLING = 1  # to be raised when `pool` changes: heads of before are then refused


def pool(streams: Iterable[NDArray[Any]]) -> NDArray[np.float32]:
    """The row [F] of streams of one window, (1, ..., C) each with time in the second place.

    A stream of at most 4096 numbers is taken as it is. Of a larger one each channel gives two numbers: its mean over
    time and places, and its mean over the second half of the time less that over the first half, which says what
    changed. One without a time gives the first only.
    """
    parts = []
    for stream in streams:
        rows = stream[0]
        if rows.size <= MOST_KEPT:
            parts.append(rows.ravel())
            continue
        times = rows.reshape(len(rows), -1, rows.shape[-1]).mean(1, dtype=np.float32) if rows.ndim > 1 else rows[None]
        parts.append(times.mean(0))
        if len(times) > 1:
            half = len(times) // 2
            parts.append(times[-half:].mean(0) - times[:half].mean(0))
    return np.concatenate(parts).astype(np.float32, copy=False)


def seen_names(manifest: Manifest) -> tuple[str, ...]:
    """What the predictor takes of vision, by name, in the manifest's order."""
    entry = manifest.graphs["predictor"]
    return tuple(tensor.name for tensor in entry.inputs if tensor.name not in ("query_tokens", "query_mask"))


def encoder_digest(manifest: Manifest) -> str:
    """Names the X-encoder and the way of its features: 64 hex digits. Two models that share it give the same features.

    The texts, the predictor and the decoders of a bundle are not in it: they may change.
    """
    video = manifest.video
    about = {
        "pooling": _POOLING,
        "streams": seen_names(manifest),
        "graphs": {role: entry.sha256 for role, entry in sorted(manifest.x_encoders.items())},
        "video": [video.width, video.height, video.resize, video.fps, video.window],
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
