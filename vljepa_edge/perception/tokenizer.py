"""A tokenizer out of a bundle. Its file is read by Rust code, which can panic on a damaged one, then or in any call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vljepa_edge.errors import BundleError
from vljepa_edge.support.ending import native

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class BundleTokenizer:
    """Texts to token ids and back. Every failure is a BundleError that names the file. Safe from many threads."""

    def __init__(self, file: str, data: bytes, most: int | None = None) -> None:
        """data: the file, in the Hugging Face tokenizers format. most: the tokens at which `encode` cuts a text off."""
        self._file, self._most = file, most
        self._tokenizer = read_tokenizer(file, data)
        with _panics_refused(file, "can't be used"):
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()
            if most is not None:
                self._tokenizer.enable_truncation(most)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text, which must be valid Unicode."""
        with native, _panics_refused(self._file, "can't encode a text"):
            return [list(found.ids[: self._most]) for found in self._tokenizer.encode_batch(list(texts))]

    def count(self, text: str) -> int:
        """How many tokens a text has, those that `encode` cuts off too."""
        with native, _panics_refused(self._file, "can't encode a text"):
            found = self._tokenizer.encode(text)
            return len(found.ids) + sum(len(more.ids) - sum(more.special_tokens_mask) for more in found.overflowing)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, without special tokens."""
        with native, _panics_refused(self._file, "can't decode tokens"):
            return str(self._tokenizer.decode(list(ids)))


def read_tokenizer(file: object, data: bytes) -> Tokenizer:
    """The tokenizer in `data`, the bytes of `file`. Raises BundleError."""
    from tokenizers import Tokenizer  # while graphs are compiled

    with _panics_refused(file, "is not a tokenizer in the Hugging Face tokenizers format"):
        return Tokenizer.from_str(data.decode())


@contextmanager
def _panics_refused(file: object, what: str) -> Iterator[None]:
    """The tokenizers package raises a bare Exception for what it refuses. Where its Rust code panics, a
    `PanicException` comes, which no module exports and which is, like Ctrl-C, not an Exception."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise BundleError(file, f"{what}: {error}") from error
