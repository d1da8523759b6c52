"""The classes of a benchmark by their texts."""

from __future__ import annotations

from collections.abc import Iterable


class Classes:
    """Numbers classes in the order in which their texts come. Texts that differ in case and blanks alone are one class,
    which has the first of them: a text encoder may not tell them apart, and a tie is wrong."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._numbers: dict[str, int] = {}
        self._texts: list[str] = []
        for text in texts:
            self.number(text)

    def number(self, text: str) -> int:
        """The class of a text, a new one if need be."""
        words = text.split()
        number = self._numbers.setdefault(" ".join(words).casefold(), len(self._texts))
        if number == len(self._texts):
            self._texts.append(" ".join(words))
        return number

    @property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """For each class the text that stands for it, as `Classification` takes them."""
        return tuple((text,) for text in self._texts)
