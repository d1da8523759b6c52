"""What a bundle made of a table, kept in the cache folder: embeddings take minutes, and figures of them seconds.

What is kept is named after the bundle's digest, the engine with its precision, the version of this package, the
table's digest and what was asked, so whatever changes is measured again, and so is what a damaged file held.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from vljepa_edge.evaluation import kept
from vljepa_edge.model import Model
from vljepa_edge.training.figures.captioned import Captioned

Array = NDArray[np.float32]
_TEXTS = 64  # embedded at once, between two steps of the progress bar
progress = partial(track, console=Console(stderr=True))  # stdout is for figures, which may be JSON


def embed_items(model: Model, table: Captioned, query: str | None = None) -> Array:
    """(items, E) unit vectors under a query (None: the model's default). Raises VideoError, naming the file."""

    def make() -> Array:
        return np.stack([model.embed_video(item, query) for item in progress(table.items, f"encoding {table.name}")])

    return keep(model, table, f"items/{query}", make)


def embed_captions(model: Model, table: Captioned) -> Array:
    """(captions, E) unit vectors of the Y-encoder."""

    def make() -> Array:
        parts = [table.captions[i : i + _TEXTS] for i in range(0, len(table.captions), _TEXTS)]
        return np.concatenate([model.embed_text(part) for part in progress(parts, f"texts of {table.name}")])

    return keep(model, table, "captions", make)


def decode_items(model: Model, table: Captioned, embeddings: Array) -> list[str]:
    """What the Y-decoder says of each item; embeddings (items, E)."""

    def make() -> NDArray[np.uint8]:
        said = [model.decode_text(z) for z in progress(embeddings, f"decoding {table.name}")]
        return np.frombuffer(json.dumps(said).encode(), np.uint8)

    what = f"texts/{hashlib.sha256(np.ascontiguousarray(embeddings).tobytes()).hexdigest()}"
    texts: list[str] = json.loads(keep(model, table, what, make).tobytes())
    return texts


def keep(model: Model, table: Captioned, what: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """The array that `make` gives, from the cache if it was made before of the same bundle and table for `what`."""
    return kept.keep((model.bundle.digest, model.arithmetic, table.digest, what), make)
