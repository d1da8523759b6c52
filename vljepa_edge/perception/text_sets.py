"""Embeddings of sets of texts, kept: the labels of a classifier are the same from one video to the next."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

OnTexts = Callable[[int, int], object]
"""Called with how many texts are embedded, and how many there are."""
Embed = Callable[[Sequence[str], OnTexts | None], NDArray[np.float32]]

LIMIT = 64 << 20  # bytes: 10,000 texts at the paper's width of 1536


class TextSets:
    """The embeddings [N, E] of the sets used last, read-only, `limit` bytes at most. Safe from many threads.

    A set is its texts in their order. It is embedded once, also when several threads ask for it at the same time. One
    that is larger than the limit alone is not kept.
    """

    def __init__(self, embed: Embed, limit: int = LIMIT) -> None:
        self._embed = embed
        self._limit = limit
        self._lock = threading.Lock()  # _sets
        self._sets: OrderedDict[bytes, Future[NDArray[np.float32]]] = OrderedDict()  # the one used last is last

    def get(self, texts: Sequence[str], report: OnTexts | None = None) -> NDArray[np.float32]:
        """The embeddings [N, E] of `texts`. Raises what embedding them raises; that is tried again the next time."""
        key = _digest(texts)
        while True:
            mine: Future[NDArray[np.float32]] = Future()
            with self._lock:
                found = self._sets.setdefault(key, mine)
                self._sets.move_to_end(key)
            if found is mine:
                return self._fill(key, mine, texts, report)
            if found.exception() is None:  # waits for the thread that embeds it
                return found.result()

    def _fill(
        self, key: bytes, future: Future[NDArray[np.float32]], texts: Sequence[str], report: OnTexts | None
    ) -> NDArray[np.float32]:
        try:
            rows = self._embed(texts, report)
        except BaseException as error:
            with self._lock:
                self._sets.pop(key, None)
            future.set_exception(error)
            raise
        rows.flags.writeable = False
        future.set_result(rows)
        with self._lock:
            self._trim()
        return rows

    def _trim(self) -> None:
        """Forget the sets used longest ago until the others fit. One that is being embedded has no size yet."""
        sizes = {key: found.result().nbytes for key, found in self._sets.items() if found.done()}
        total = sum(sizes.values())
        for key, size in sizes.items():
            if total <= self._limit:
                break
            del self._sets[key]
            total -= size


def _digest(texts: Sequence[str]) -> bytes:
    """A key that differs where a text or the order does, and is small however long the texts are."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.digest()
