"""An event as it is stored: one transaction, all of it or nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.store.database import transaction
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.openings import ENDINGS
from vljepa_edge.support.json_numbers import number

# Columns of `event` that a record for programs has, in its order, beside its id, its stream and its picture.
_TOLD = (
    *("status", "start", "end", "decided_at", "text", "confidence", "wording", "reused"),
    *("change", "query", "segment"),
)
_SELECTED = ", ".join(f'event."{name}"' for name in ("id", "begun", "stream", "at", *_TOLD, "latency_ms"))
RECORDS = f"SELECT {_SELECTED}, event.interrupted, picture.event FROM event LEFT JOIN picture ON picture.event = "
RECORDS += "coalesce(event.begun, event.id)"
_A_ROW = 8192  # bytes, with its share of the indices


@dataclass(frozen=True)
class Entry:
    """What is stored of an event.

    number   rises from event to event
    begun    the number of the event with which it began; its own where it is a beginning
    at       Unix time at which it was told
    picture  a JPEG of the frame at which it was first seen; None for an end, which has that of its beginning
    """

    number: int
    begun: int | None
    stream: str
    at: float
    event: Event
    picture: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes of it in the file, at most about."""
        return _A_ROW + len(self.picture or b"")


def write(connection: sqlite3.Connection, entry: Entry, model: int) -> None:
    """Store it in one transaction; `model`: the row of the model whose embedding it has."""
    event = entry.event
    told = event.to_dict()
    heard = entry.at - event.latency_ms.get("total", 0.0) / 1e3 - event.decided_at  # Unix time of the stream's second 0
    row = {
        "id": entry.number, "begun": entry.begun, "stream": entry.stream, "at": entry.at,
        "began_at": heard + event.start, "ended_at": None if event.end is None else heard + event.end,
        **{name: told[name] for name in _TOLD},
        "latency_ms": json.dumps(told["latency_ms"], allow_nan=False),
        "model": model, "embedding": as_bytes(event.embedding),
    }  # fmt: skip
    with transaction(connection):
        insert(connection, row)
        if entry.picture is not None:
            connection.execute("INSERT INTO picture VALUES (?, ?)", (entry.number, entry.picture))
        connection.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", (entry.stream, event.decided_at, entry.at))


def insert(connection: sqlite3.Connection, row: Mapping[str, Any]) -> None:
    """Insert a row of `event`."""
    names = ", ".join(f'"{name}"' for name in row)
    places = ", ".join(f":{name}" for name in row)
    connection.execute(f"INSERT INTO event ({names}) VALUES ({places})", row)


def close_interrupted(connection: sqlite3.Connection) -> int:
    """Close what was open when the last process died, at the last time known of its stream; how many that were."""
    with transaction(connection):
        connection.row_factory = sqlite3.Row
        try:
            left = connection.execute(
                "SELECT event.*, seen.time AS seen_time, seen.at AS seen_at FROM event "
                "LEFT JOIN seen ON seen.stream = event.stream WHERE begun = id AND NOT EXISTS "
                "(SELECT 1 FROM event AS other WHERE other.begun = event.id AND other.id <> event.id) ORDER BY id"
            ).fetchall()
        finally:
            connection.row_factory = None
        following = newest(connection) + 1
        for place, found in enumerate(left):
            begun = dict(found)
            seen, at = begun.pop("seen_time"), begun.pop("seen_at")
            if seen is None or seen < begun["decided_at"]:
                seen, at = begun["decided_at"], begun["at"]
            insert(connection, begun | {
                "id": following + place, "at": at, "ended_at": begun["began_at"] + seen - begun["start"],
                "status": ENDINGS[begun["status"]], "end": seen, "decided_at": seen, "change": 0.0,
                "latency_ms": "{}", "interrupted": 1, "clip": None,
            })  # fmt: skip
        connection.execute("DELETE FROM seen")  # times of a new process begin at 0
    return len(left)


def newest(connection: sqlite3.Connection) -> int:
    """The largest number of an event; 0 where there is none."""
    (found,) = connection.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()
    return int(found)


def last_time(connection: sqlite3.Connection) -> float | None:
    """Unix time at which the newest event was told; None where there is none."""
    found = connection.execute("SELECT at FROM event ORDER BY id DESC LIMIT 1").fetchone()
    return None if found is None else float(found[0])


def as_record(row: tuple[Any, ...]) -> dict[str, Any]:
    """What clients are told of an event, out of a row of RECORDS. `interrupted` is there where it is so."""
    ident, begun, stream, at, *told, latency, interrupted, pictured = row
    picture = None if pictured is None else f"/events/{ident}.jpg"
    record = {"id": ident, "begun": begun, "stream": stream, "at": number(at, 3), "picture": picture}
    record |= dict(zip(_TOLD, told, strict=True)) | {"latency_ms": json.loads(latency)}
    record["reused"] = bool(record["reused"])
    return record | {"interrupted": True} if interrupted else record


def as_bytes(embedding: NDArray[np.float32]) -> bytes | None:
    """An embedding [E] as float16; None for zeros, which stand for none."""
    return embedding.astype("<f2").tobytes() if embedding.any() else None
