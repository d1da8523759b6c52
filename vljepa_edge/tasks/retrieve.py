"""Text-to-video retrieval: windows of videos, ranked by the cosine of their embedding with a text's (paper, 4.1)."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError, redacted
from vljepa_edge.perception.perception import as_model
from vljepa_edge.support.arguments import as_number, as_path, as_text, as_whole, shown
from vljepa_edge.tasks.index_folder import read_index, write_index

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception
    from vljepa_edge.video.source import SourceLike

Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Hit:
    """A moment of a video: its name in the index, seconds, and the cosine with the text."""

    name: str
    start: float
    end: float
    score: float


class Index:
    """Windows of videos and images, embedded under one query (the model's default unless given), overlapping by half.

    On disk: index.json (names, the model's digest, hashes) beside embeddings-*.npy, float32 [N, E], and spans-*.npy,
    float64 [N, 3] (number of the name, start, end). A loaded index maps its embeddings from disk. Not for use from
    several threads while one adds or removes.
    """

    def __init__(self, model: Perception, query: str | None = None) -> None:
        self.model = as_model(model)
        self.query = model.manifest.text.default_query if query is None else as_text(query, "query")
        self._stamps: dict[str, Stamp | None] = {}
        self._embeddings: list[NDArray[np.float32]] = []
        self._spans: list[NDArray[np.float64]] = []

    def __len__(self) -> int:
        """How many windows there are."""
        return sum(len(part) for part in self._embeddings)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the videos and images, in the order they were added."""
        return tuple(self._stamps)

    @property
    def stamps(self) -> dict[str, Stamp | None]:
        """By name, the size (bytes) and the modification time (ns) that a file had when it was added; None: no file."""
        return dict(self._stamps)

    def add(self, source: SourceLike, name: str | None = None) -> int:
        """Embed a video or image and add its windows; how many those are. A path needs no `name`.

        A camera or RTSP URL has no end and adds one window, of what is seen now; its times count from then.
        Raises InputError for a name that is there already, VideoError for the source; the index is then as before.
        """
        if name is None:
            if not isinstance(source, str | os.PathLike):
                raise InputError(f"a {type(source).__name__} has no name of its own; give add(source, name=...)")
            name = redacted(str(as_path(source, "source")))
        if not isinstance(name, str):  # which need not be valid Unicode: names of files are not
            raise InputError(f"name must be a text, got {shown(name)}")
        if name in self._stamps:
            raise InputError(f"{name!r} is in the index already; give it another name")
        hop = max(1, self.model.manifest.video.window // 2)
        stamp = _stamp_of(source)
        found = list(self.model.windows(source, self.query, hop=hop, full=True))
        number = len(self._stamps)
        self._embeddings.append(np.stack([window.embedding for window in found]))
        self._spans.append(np.array([(number, window.start, window.end) for window in found], np.float64))
        self._stamps[name] = stamp
        return len(found)

    def append(self, name: str, start: float, end: float, embedding: NDArray[np.float32]) -> None:
        """Add one window of a live stream, as `Stream.subscribe` gives them: from `start` to `end`, in seconds.

        Windows of one name may come one after the other, for as long as they are wanted: see `forget`. Raises
        InputError for a name that a file has, times that are not finite or in order, and an embedding that is not E
        finite numbers of unit norm.
        """
        if not isinstance(name, str) or self._stamps.get(name) is not None:
            raise InputError(f"name must be a text that no file of the index has, got {shown(name)}")
        first, last = as_number(start, "start", " of seconds"), as_number(end, "end", " of seconds")
        if not (math.isfinite(first) and math.isfinite(last) and first <= last):
            raise InputError(f"start and end must be finite and in order, got {shown(start)} and {shown(end)}")
        width = self.model.manifest.embedding.width
        vector = np.asarray(embedding)
        if vector.shape != (width,) or vector.dtype.kind != "f" or not abs(np.linalg.norm(vector) - 1) < 1e-3:
            raise InputError(f"an embedding must be {width} numbers of unit norm, got {shown(embedding)}")
        self._stamps.setdefault(name, None)
        number = list(self._stamps).index(name)
        self._embeddings.append(vector.astype(np.float32)[None])
        self._spans.append(np.array([(number, first, last)], np.float64))
        # Parts of a similar size become one, so that there are few of them and none is copied often.
        while len(self._spans) > 1 and len(self._spans[-2]) <= 2 * len(self._spans[-1]):
            for parts in (self._embeddings, self._spans):
                parts[-2:] = [np.concatenate(parts[-2:])]

    def forget(self, name: str, before: float) -> int:
        """Take out the windows of a video or stream that ended before this second of it; how many those were. The name
        stays. Raises InputError for a name that is not there."""
        if not isinstance(name, str) or name not in self._stamps:
            raise InputError(f"{shown(name)} is not in the index")
        number, limit = list(self._stamps).index(name), as_number(before, "before", " of seconds")
        had = len(self)
        kept = [~((spans[:, 0] == number) & (spans[:, 2] < limit)) for spans in self._spans]
        parts = [
            (embeddings if rows.all() else embeddings[rows], spans if rows.all() else spans[rows])
            for embeddings, spans, rows in zip(self._embeddings, self._spans, kept, strict=True)
            if rows.any()
        ]
        self._embeddings, self._spans = [part for part, _ in parts], [part for _, part in parts]
        return had - len(self)

    def search(self, text: str, k: int = 5) -> list[Hit]:
        """The k moments that fit `text` best, best first. Of windows of one video that overlap, only the best is there.

        Raises InputError for an empty text or k below 1. An empty index has no hits.
        """
        count = as_whole(k, "k", 1)
        wanted = self.model.embed_text([text])[0]
        if not self._embeddings:
            return []
        scores = np.concatenate([part @ wanted for part in self._embeddings])
        spans = np.concatenate(self._spans)
        names = self.names
        taken: dict[int, list[tuple[float, float]]] = {}
        hits: list[Hit] = []
        for row in np.argsort(-scores, kind="stable"):
            number, start, end = int(spans[row, 0]), float(spans[row, 1]), float(spans[row, 2])
            others = taken.setdefault(number, [])
            if any(start <= stop and begin <= end for begin, stop in others):
                continue
            others.append((start, end))
            hits.append(Hit(names[number], start, end, float(scores[row])))
            if len(hits) == count:
                break
        return hits

    def remove(self, *names: str) -> None:
        """Take the windows of videos and images out of the index. Raises InputError for a name that is not there."""
        for name in names:
            if not isinstance(name, str) or name not in self._stamps:
                raise InputError(f"{shown(name)} is not in the index")
        stays = np.array([name not in names for name in self._stamps], bool)
        numbers = np.cumsum(stays) - 1
        for part, spans in enumerate(self._spans):
            rows = stays[spans[:, 0].astype(int)]
            kept = spans[rows]
            kept[:, 0] = numbers[kept[:, 0].astype(int)]
            self._embeddings[part], self._spans[part] = self._embeddings[part][rows], kept
        self._stamps = {name: stamp for name, stamp in self._stamps.items() if name not in names}

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the index into a folder, in place of one that is there. Returns the folder.

        Whoever loads it meanwhile gets the old or the new one; of two programs that save at once, one comes after the
        other. Raises IndexFileError when it can't be written, or when the folder has an index.json of something else;
        what was there is then as it was.
        """
        target = as_path(folder, "folder")
        width = self.model.manifest.embedding.width
        note = {
            "bundle": self.model.bundle.digest,
            "query": self.query,
            "names": list(self._stamps),
            "stamps": list(self._stamps.values()),
        }
        embeddings = np.concatenate([np.empty((0, width), np.float32), *self._embeddings])
        write_index(target, note, {"embeddings": embeddings, "spans": np.concatenate([np.empty((0, 3)), *self._spans])})
        return target

    @classmethod
    def load(cls, folder: str | os.PathLike[str], model: Perception) -> Index:
        """Open a saved index; embeddings stay on disk, mapped.

        Raises IndexFileError, naming the file, when it is missing, altered or broken, or was made by another model.
        """
        about = as_model(model).manifest
        note, arrays = read_index(
            as_path(folder, "folder"), model.bundle.digest, f"{about.name} {about.version}", about.embedding.width
        )
        index = cls(model, note["query"])
        index._stamps = {name: _stamp(value) for name, value in zip(note["names"], note["stamps"], strict=True)}
        if len(arrays["spans"]):
            index._embeddings, index._spans = [arrays["embeddings"]], [np.array(arrays["spans"])]
        return index


def _stamp(value: object) -> Stamp | None:
    whole = isinstance(value, list) and len(value) == 2 and all(type(number) is int for number in value)
    return (value[0], value[1]) if whole and isinstance(value, list) else None


def _stamp_of(source: object) -> Stamp | None:
    """Of a file, before it is read: one that is written meanwhile counts as changed."""
    if isinstance(source, str | os.PathLike):
        with suppress(OSError, ValueError):
            status = os.stat(source)
            return status.st_size, status.st_mtime_ns
    return None
