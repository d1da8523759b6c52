"""Events as streams make them, for tests that need no stream."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from vljepa_edge.store.entry import Entry
from vljepa_edge.store.room import RESERVE
from vljepa_edge.streaming.event import Event, Status


def unit(*numbers: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A vector of 16 numbers, unit norm: those given, then zeros."""
    vector = np.zeros(16, np.float32)
    vector[: len(numbers)] = numbers
    return vector / np.linalg.norm(vector)


def event(status: Status, start: float, end: float | None = None, text: str = "a ball rolls", **more: Any) -> Event:
    """An event of a stream."""
    given: dict[str, Any] = {
        "status": status, "start": start, "end": end, "decided_at": start + 1 if end is None else end, "text": text,
        "embedding": unit(1, 2, 3), "change": 0.25, "query": "What is happening?", "segment": 0,
        "latency_ms": {"encode": 2.5, "total": 7.125}, "confidence": 0.75, "wording": "specific",
    }  # fmt: skip
    return Event(**given | more)


def pair(first: int, start: float, end: float, picture: bytes | None = b"jpeg", **more: Any) -> list[Entry]:
    """The two entries of a segment: number `first` opens it, the next closes it."""
    stream, at = more.pop("stream", "door"), more.pop("at", time.time())
    return [
        Entry(first, first, stream, at, event("open", start, **more), picture),
        Entry(first + 1, first, stream, at + end - start, event("closed", start, end, **more)),
    ]


def taken(folder: Path) -> int:
    """Bytes of all files in a folder, without the room that is held back."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and file.name != RESERVE)
