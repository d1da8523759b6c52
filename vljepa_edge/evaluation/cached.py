"""An embedder that keeps what it has embedded, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.evaluation.embedder import Array, Embedder, Look
from vljepa_edge.evaluation.items import Media, Seen, media_of
from vljepa_edge.evaluation.kept import find, keep, store

Report: TypeAlias = Callable[[str, int, int], object]
"""Called with what is embedded, how many are done and how many there are."""
T = TypeVar("T")
_LOOKS, _TEXTS = 64, 1024  # that are asked for at once


class Cached:
    """Another embedder, asked for 64 clips or 1,024 texts at a time. What is made of a clip is kept by itself, under
    the embedder's digest and the place, size and time of its file: a file that changes is embedded again, one more or
    less changes nothing for the others, and one that could not be read is tried again. Texts are kept by the part.
    unread: what could not be read, so far."""

    def __init__(self, embedder: Embedder, report: Report = lambda what, done, total: None) -> None:
        self._embedder = embedder
        self._report = report
        self.unread: set[Seen] = set()

    @property
    def digest(self) -> str:
        return self._embedder.digest

    def embed_media(self, looks: Sequence[Look]) -> Array:
        def part(own: Sequence[Look]) -> Array:
            made_of = [(self.digest, "look", _named(look)) for look in own]
            kept = [find(one) for one in made_of]
            lacking = [row for row, one in enumerate(kept) if one is None]
            if lacking:
                made = self._embedder.embed_media([own[row] for row in lacking])
                for row, embedding in zip(lacking, made, strict=True):
                    kept[row] = embedding
                    if np.isfinite(embedding).all():
                        store(made_of[row], embedding)
                    else:
                        self.unread.add(own[row].seen)
            return np.stack([embedding for embedding in kept if embedding is not None])

        return self._parts("videos and images", looks, _LOOKS, part)

    def embed_texts(self, texts: Sequence[str], prompt: bool = True) -> Array:
        def part(own: Sequence[str]) -> Array:
            return keep((self.digest, "texts", prompt, list(own)), lambda: self._embedder.embed_texts(own, prompt))

        return self._parts("texts", texts, _TEXTS, part)

    def decode(self, embeddings: Array) -> list[str]:
        def part(own: Array) -> list[str]:
            given = hashlib.sha256(np.ascontiguousarray(own).tobytes()).hexdigest()
            made = keep((self.digest, "decoded", given), lambda: _bytes_of(self._embedder.decode(own)))
            said: list[str] = json.loads(made.tobytes())
            return said

        return [text for own in self._each("decoded texts", embeddings, _LOOKS, part) for text in own]

    def _parts(self, what: str, asked: Sequence[Any], size: int, part: Callable[[Sequence[Any]], Array]) -> Array:
        return np.concatenate(self._each(what, asked, size, part))

    def _each(self, what: str, asked: Any, size: int, part: Callable[[Any], T]) -> list[T]:
        found = []
        for begin in range(0, len(asked), size):
            self._report(what, begin, len(asked))
            found.append(part(asked[begin : begin + size]))
        self._report(what, len(asked), len(asked))
        return found


def _bytes_of(texts: list[str]) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(texts).encode(), np.uint8)


def _named(look: Look) -> list[object]:
    return [look.query, *(_stamp(media) for media in media_of(look.seen))]


def _stamp(media: Media) -> dict[str, object]:
    status = media.path.stat()
    return {**asdict(media), "path": str(media.path.resolve()), "size": status.st_size, "time": status.st_mtime_ns}
