"""Rows that took long to make, each kept under what it alone was made of: with one item more, only that one is made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.evaluation.kept import folder, load, named, save


class KeptRows:
    """The rows of one kind: of one model, say. Each call of `store` adds a file, and none is written again, so
    processes may share them."""

    def __init__(self, made_of: Sequence[object]) -> None:
        """made_of: JSON values that name what all the rows depend on, as those of `kept.keep`."""
        self._folder = folder() / named(made_of)

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        """The rows that are kept, by their keys (see `key_of`). A damaged file holds none."""
        found: dict[bytes, Any] = {}
        wanted = set(keys)
        for file in sorted(self._folder.glob("[0-9a-f]*.npy")):
            part = load(file)
            if part is not None:
                own = [row for row, key in enumerate(part["key"].tolist()) if key in wanted]
                found.update(zip(part["key"][own].tolist(), part["value"][own], strict=True))
        return found

    def store(self, keys: Sequence[bytes], values: NDArray[Any]) -> None:
        """Keep these rows; those that are not finite are not."""
        if values.dtype.kind == "f":
            whole = np.flatnonzero(np.isfinite(values).all(1)).tolist()
            keys, values = [keys[row] for row in whole], values[whole]
        if keys:
            part = np.empty(len(keys), [("key", "S64"), ("value", values.dtype, values.shape[1:])])
            part["key"], part["value"] = keys, values
            save(self._file(keys), part)

    def _file(self, keys: Sequence[bytes]) -> Path:
        return self._folder / f"{hashlib.sha256(b''.join(keys)).hexdigest()}.npy"


def key_of(made_of: object) -> bytes:
    """The key of a row that was made of this, a JSON value."""
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest().encode()
