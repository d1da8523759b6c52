"""An embedder that keeps what it has embedded, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.evaluation.embedder import Array, Embedder, Look
from vljepa_edge.evaluation.items import Media, Seen, media_of
from vljepa_edge.evaluation.kept_rows import KeptRows, key_of

Report: TypeAlias = Callable[[str, int, int], object]
"""Called with what is embedded, how many are done and how many there are."""
_LOOKS, _TEXTS = 64, 1024  # embedded at a time


class Cached:
    """Another embedder, asked for what is not in the cache: 64 clips or 1,024 texts at a time, which are then kept.

    Each is kept under the embedder's digest and what it alone is made of: a text, or the places, sizes and times of
    files. So a file that is new or has changed is embedded, and no other; one that could not be read is tried again.
    unread: what could not be read, so far.
    """

    def __init__(self, embedder: Embedder, report: Report = lambda what, done, total: None) -> None:
        self._embedder = embedder
        self._report = report
        self.unread: set[Seen] = set()

    @property
    def digest(self) -> str:
        return self._embedder.digest

    def embed_media(self, looks: Sequence[Look]) -> Array:
        keys = [key_of(_named(look)) for look in looks]
        rows = self._each("videos and images", ("media",), keys, looks, _LOOKS, self._embedder.embed_media)
        self.unread |= {looks[row].seen for row in np.flatnonzero(~np.isfinite(rows).all(1)).tolist()}
        return rows

    def embed_texts(self, texts: Sequence[str], prompt: bool = True) -> Array:
        def make(own: Sequence[str]) -> Array:
            return self._embedder.embed_texts(own, prompt)

        return self._each("texts", ("texts", prompt), [key_of(text) for text in texts], texts, _TEXTS, make)

    def decode(self, embeddings: Array) -> list[str]:
        def make(own: Sequence[Array]) -> NDArray[np.str_]:
            return np.array(self._embedder.decode(np.stack(own)), np.str_)

        keys = [key_of(hashlib.sha256(row.tobytes()).hexdigest()) for row in embeddings]
        said: list[str] = self._each("decoded texts", ("decoded",), keys, list(embeddings), _LOOKS, make).tolist()
        return said

    def _each(
        self, what: str, kind: Sequence[object], keys: Sequence[bytes], asked: Sequence[Any], size: int,
        make: Callable[[Sequence[Any]], NDArray[Any]],
    ) -> NDArray[Any]:
        """A row for each that is asked, from the cache, or made and put there; equal ones are made once."""
        kept = KeptRows((self.digest, *kind))
        found = kept.find(keys)
        lacking = {key: one for key, one in zip(keys, asked, strict=True) if key not in found}
        wanted, total = list(lacking), len(set(keys))
        for begin in range(0, len(wanted), size):
            self._report(what, len(found), total)
            own = wanted[begin : begin + size]
            rows = make([lacking[key] for key in own])
            kept.store(own, rows)
            found.update(zip(own, rows, strict=True))
        self._report(what, total, total)
        return np.stack([found[key] for key in keys])


def _named(look: Look) -> list[object]:
    return [look.query, *(_stamp(media) for media in media_of(look.seen))]


def _stamp(media: Media) -> dict[str, object]:
    status = media.path.stat()
    return {**asdict(media), "path": str(media.path.resolve()), "size": status.st_size, "time": status.st_mtime_ns}
