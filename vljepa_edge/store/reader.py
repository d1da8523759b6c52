"""Reading a store, while a server writes into it or not: events, their pictures, and what was seen by text."""

from __future__ import annotations

import heapq
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError, StoreError
from vljepa_edge.store.database import CLIPS, FILE, open_for_reading
from vljepa_edge.store.entry import RECORDS, as_record
from vljepa_edge.support.arguments import as_path, as_texts, as_whole

if TYPE_CHECKING:
    from vljepa_edge.bundle.store import Bundle

_ROWS = 4096  # embeddings that are in memory at a time

# What was seen: an event with which something begins, and the one with which it ended, if it has. The end knows more:
# its text and its embedding are of all of it.
_MOMENTS = """
    FROM event AS began LEFT JOIN event AS ended ON ended.begun = began.id AND ended.id <> began.id
    LEFT JOIN clip ON clip.id = began.clip
    WHERE began.begun = began.id AND coalesce(ended.embedding, began.embedding) IS NOT NULL
    AND began.model = (SELECT id FROM model WHERE digest = :digest)
    AND (:stream IS NULL OR began.stream = :stream)
    AND (:earliest IS NULL OR coalesce(ended.ended_at, began.at) >= :earliest)
    AND (:latest IS NULL OR began.began_at <= :latest)
"""
_FOUND = """SELECT began.id, began.stream, began.began_at, ended.ended_at, began.start, ended."end",
    coalesce(nullif(ended.text, ''), began.text), coalesce(ended.confidence, began.confidence), began.query,
    began.status, coalesce(ended.interrupted, 0), clip.file, clip.start"""


class TextEmbedder(Protocol):
    """What embeds the text of a search: a Model, or a TextEncoder, which loads nothing else."""

    @property
    def bundle(self) -> Bundle:
        """Whose Y-encoder it is."""
        ...

    def embed_text(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """float32 [N, E], unit norm."""
        ...


@dataclass(frozen=True)
class Moment:
    """Something that was seen.

    id          the number of the event with which it began; its picture is `StoreReader.picture(id)`
    began_at    when it began, and `ended_at` when it ended: of the clock on the wall, in UTC. None: it goes on, or its
                end was lost
    start, end  the same on the clock of the stream, in seconds
    text        what was decoded, or the label that was watched for; empty where nothing was decoded
    kind        "open" of a segment, "appeared" of a label, "began" of a taught event
    interrupted whether the process died before it ended; `end` is then the last time known
    clip        the file of a clip of it, None where there is none; second 0 of the clip is `clip_start` of the stream
    score       the cosine with the text that was searched for
    """

    id: int
    stream: str
    began_at: datetime
    ended_at: datetime | None
    start: float
    end: float | None
    text: str
    confidence: float | None
    query: str
    kind: str
    interrupted: bool
    clip: Path | None
    clip_start: float | None
    score: float


class StoreReader:
    """Reads the store in a folder. It changes nothing in it; any thread may call it, in any process.

    Methods raise StoreError where the file is not there, can't be read or is of something else.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = as_path(folder, "folder")

    def events(
        self, since: int = 0, *, before: int | None = None, stream: str | None = None, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Events of a stream, or of all, with a number above `since` and below `before`, the oldest first, as `/events`
        has them."""
        asks = {"since": since, "before": before, "stream": stream, "limit": limit}
        with self._reading() as connection:
            rows = connection.execute(
                f"{RECORDS} WHERE event.id > :since AND (:before IS NULL OR event.id < :before) "
                "AND (:stream IS NULL OR event.stream = :stream) ORDER BY event.id LIMIT :limit",
                asks,
            )
            return [as_record(row) for row in rows]

    def count(self, since: int, before: int) -> int:
        """How many events have a number above `since` and below `before`."""
        with self._reading() as connection:
            found = connection.execute("SELECT count(*) FROM event WHERE id > ? AND id < ?", (since, before))
            return int(found.fetchone()[0])

    def picture(self, number: int) -> bytes | None:
        """A JPEG of the frame at which what an event tells of was first seen; None where there is none."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT jpeg FROM picture WHERE event = (SELECT coalesce(begun, id) FROM event WHERE id = ?)", (number,)
            ).fetchone()
        return None if row is None else bytes(row[0])

    def search(
        self,
        model: TextEmbedder,
        text: str,
        k: int = 5,
        *,
        stream: str | None = None,
        earliest: datetime | None = None,
        latest: datetime | None = None,
    ) -> list[Moment]:
        """The k moments that fit `text` best, best first: by the cosine of their embedding with the text's.

        stream: of this stream alone. earliest, latest: of this time of the clock on the wall or later, or earlier;
        local time where it names no zone. Raises InputError for an empty text or k below 1, StoreError where the store
        was written with other models only.
        """
        count = as_whole(k, "k", 1)
        (asked,) = as_texts([text], "texts")
        asks = {"digest": model.bundle.digest, "stream": stream, "earliest": _unix(earliest), "latest": _unix(latest)}
        with self._reading() as connection:
            self._check_model(connection, model.bundle.digest)
            wanted = model.embed_text([asked])[0]
            scored = heapq.nlargest(count, self._scores(connection, asks, wanted))
            return [self._moment(connection, asks, -negative, score) for score, negative in scored]

    def _scores(
        self, connection: sqlite3.Connection, asks: dict[str, Any], wanted: NDArray[np.float32]
    ) -> Iterator[tuple[float, int]]:
        """(cosine, the negative number) of every moment: of equal ones the older comes first."""
        rows = connection.execute(f"SELECT began.id, coalesce(ended.embedding, began.embedding) {_MOMENTS}", asks)
        while batch := rows.fetchmany(_ROWS):
            embeddings = np.frombuffer(b"".join(blob for _, blob in batch), "<f2").reshape(len(batch), -1)
            cosines = embeddings.astype(np.float32) @ wanted
            yield from zip(map(float, cosines), (-number for number, _ in batch), strict=True)

    def _moment(self, connection: sqlite3.Connection, asks: dict[str, Any], number: int, score: float) -> Moment:
        row = connection.execute(f"{_FOUND} {_MOMENTS} AND began.id = :id", asks | {"id": number}).fetchone()
        ident, stream, began, ended, start, end, text, confidence, query, kind, interrupted, file, clip_start = row
        return Moment(
            ident, stream, _time(began), None if ended is None else _time(ended), start, end, text, confidence, query,
            kind, bool(interrupted), None if file is None else self.folder / CLIPS / file, clip_start, score,
        )  # fmt: skip

    def _check_model(self, connection: sqlite3.Connection, digest: str) -> None:
        models = connection.execute("SELECT digest, name FROM model ORDER BY id").fetchall()
        if digest not in dict(models):
            names = ", ".join(name for _, name in models)
            raise StoreError(self.folder / FILE, f"was written with another model; search it with --model: {names}")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with closing(open_for_reading(self.folder)) as connection:
            try:
                yield connection
            except sqlite3.Error as error:
                raise StoreError(self.folder / FILE, f"can't be read: {error}") from error


def is_store(folder: Path) -> bool:
    """Whether there is a store in this folder."""
    return (folder / FILE).is_file()


def _unix(moment: datetime | None) -> float | None:
    try:
        return None if moment is None else moment.timestamp()
    except (OverflowError, ValueError, OSError) as error:
        raise InputError(f"a time must be one that the clock can have, got {moment}") from error


def _time(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, timezone.utc)
