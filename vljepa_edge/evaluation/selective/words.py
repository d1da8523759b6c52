"""Embeddings to texts through the model's own Y-decoder, many at once, each once: texts are kept by embedding."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.evaluation.kept import folder

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception

BATCH = 64
Report = Callable[[int, int], None]


class Words:
    """Reads embeddings out as text, and never one twice: texts lie in a database of the cache. Close it at the end."""

    def __init__(self, model: Perception) -> None:
        self._model = model
        folder().mkdir(parents=True, exist_ok=True)
        self._kept = sqlite3.connect(folder() / "selective-texts.sqlite", timeout=60)
        self._kept.execute("CREATE TABLE IF NOT EXISTS texts (key BLOB PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID")
        self._known: dict[bytes, str] = {}

    def __enter__(self) -> Words:
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.close()

    def read(self, embeddings: Sequence[NDArray[np.float32]], report: Report = lambda done, of: None) -> list[str]:
        """The text of each embedding [E]. report: called after each batch with how many are decoded, and how many there
        are to decode. Raises EngineError where the decoder fails."""
        keys = [self._key(row) for row in embeddings]
        for key in dict.fromkeys(keys):
            if key not in self._known:
                found = self._kept.execute("SELECT text FROM texts WHERE key = ?", (key,)).fetchone()
                if found is not None:
                    self._known[key] = found[0]
        missing = {key: row for key, row in zip(keys, embeddings, strict=True) if key not in self._known}
        order = list(missing)
        for begin in range(0, len(order), BATCH):
            batch = order[begin : begin + BATCH]
            texts = self._model.text.decode_all([missing[key] for key in batch])
            self._known |= zip(batch, texts, strict=True)
            with self._kept:
                self._kept.executemany("INSERT OR REPLACE INTO texts VALUES (?, ?)", zip(batch, texts, strict=True))
            report(begin + len(batch), len(order))
        return [self._known[key] for key in keys]

    def _key(self, row: NDArray[np.float32]) -> bytes:
        made_of: list[Any] = [self._model.bundle.digest, self._model.arithmetic]
        return hashlib.sha256(repr(made_of).encode() + np.ascontiguousarray(row, np.float32).tobytes()).digest()[:16]
