"""The classes of a benchmark by their texts."""

from __future__ import annotations

from collections.abc import Iterable


class Classes:
    """Numbers classes in the order in which their texts come. Equal texts are one class: no text encoder can tell them
    apart, and a tie is wrong."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._numbers: dict[str, int] = {}
        for text in texts:
            self.number(text)

    def number(self, text: str) -> int:
        """The class of a text, a new one if need be. Blanks around it don't count."""
        return self._numbers.setdefault(text.strip(), len(self._numbers))

    @property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """For each class the text that stands for it, as `Classification` takes them."""
        return tuple((text,) for text in self._numbers)
