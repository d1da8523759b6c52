"""The classes of a benchmark by their texts."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


class Classes:
    """Numbers classes in the order in which their texts come. Texts that are the same when `folded` are one class: text
    encoders can't tell them apart, or should not, and a tie is wrong."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        for text in texts:
            self.number(text)

    def number(self, text: str) -> int:
        """The class of a text, a new one if need be."""
        self._texts.setdefault(folded(text), text.strip())
        return self._numbers.setdefault(folded(text), len(self._numbers))

    @property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """For each class the text that stands for it, the first that came, as `Classification` takes them."""
        return tuple((text,) for text in self._texts.values())


def folded(text: str) -> str:
    """A text without what is no difference in what it says: case, how much white space there is, and of several ways to
    encode a letter which one it is."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())
