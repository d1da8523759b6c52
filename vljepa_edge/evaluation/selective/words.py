"""Embeddings to texts through the model's own Y-decoder, many at once, each once: texts are kept by embedding."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.kept import folder, say_damaged

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception

BATCH = 64
_TABLE = "CREATE TABLE IF NOT EXISTS texts (key BLOB PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID"
Report = Callable[[int, int], None]


class Words:
    """Reads embeddings out as text, and never one twice: texts lie in a database of the cache. Close it at the end. One
    that is damaged is made again, and the log says so."""

    def __init__(self, model: Perception) -> None:
        self._model = model
        self._kept = _open(folder() / "selective-texts.sqlite")
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


def _open(file: Path) -> sqlite3.Connection:
    """Raises DataError where it can't be opened, or is in use by another process for a minute."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if why := _damage(file):
        say_damaged(file, why)
        for part in (file, file.with_name(f"{file.name}-journal")):
            part.unlink(missing_ok=True)
        if why := _damage(file):
            raise DataError(file, why)
    return sqlite3.connect(file, timeout=60)


def _damage(file: Path) -> str:
    """Why a database, which is made where there is none, can't be read; "" where it can. Raises DataError."""
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=60)) as kept:
            kept.execute(_TABLE)
            (found,) = kept.execute("PRAGMA quick_check(1)").fetchone()
            columns = [row[1] for row in kept.execute("PRAGMA table_info(texts)")]
    except sqlite3.OperationalError as error:  # it is locked, say
        raise DataError(file, f"can't be used: {error}") from error
    except sqlite3.DatabaseError as error:
        return str(error)
    if columns != ["key", "text"]:
        return f"its columns must be key, text, got {', '.join(columns)}"
    return "" if found == "ok" else str(found)
