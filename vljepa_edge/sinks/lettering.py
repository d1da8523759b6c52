"""Draws captions into pictures with Pillow: white on a dark box, at the bottom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_BOX = 150  # opacity of the box, of 255
_LARGEST, _SMALLEST = 18, 8  # a row of letters is an 18th of the picture's shorter side; pixels
_MOST = 0.5  # of the height is for captions; letters become smaller, then rows are left out


class _Drawn(NamedTuple):
    """A box and where it lies. uint16 (height, width, 1), 0 to 255: how much of a pixel is `white`, and how much of
    what was there the box and the letters hide."""

    top: int
    left: int
    hidden: NDArray[np.uint16]
    white: NDArray[np.uint16]


class Lettering:
    """Draws lines into pictures of one size. What was drawn last is kept for the next picture."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._lines: tuple[str, ...] = ()
        self._drawn: _Drawn | None = None

    def onto(self, image: NDArray[np.uint8], lines: tuple[str, ...]) -> None:
        """Draw lines into `image`, uint8 RGB (height, width, 3); in place. No lines: nothing."""
        if not lines:
            return
        if lines != self._lines or self._drawn is None:
            self._lines, self._drawn = lines, self._draw(lines)
        top, left, hidden, white = self._drawn
        place = image[top : top + len(hidden), left : left + hidden.shape[1]]
        place[:] = (place * (255 - hidden) + 255 * white + 127) // 255

    def _draw(self, lines: Sequence[str]) -> _Drawn:
        rows, font = self._fitted(lines)
        row, pad = _row_height(font), _row_height(font) // 4
        width = min(self._width, round(max(map(font.getlength, rows))) + 4 * pad)
        height = min(self._height, row * len(rows) + 2 * pad)
        box = Image.new("L", (width, height))
        draw = ImageDraw.Draw(box)
        for number, text in enumerate(rows):
            left = (width - font.getlength(text)) / 2
            draw.text((left, pad + number * row), text, font=font, fill=255)
        white = np.asarray(box).astype(np.uint16)[:, :, None]
        hidden = 255 - (255 - _BOX) * (255 - white) // 255
        margin = min(self._height // 20, self._height - height)
        return _Drawn(self._height - height - margin, (self._width - width) // 2, hidden, white)

    def _fitted(self, lines: Sequence[str]) -> tuple[list[str], _Font]:
        """The lines in rows that fit, and the font in which they do."""
        size = max(_SMALLEST, min(self._width, self._height) // _LARGEST)
        while True:
            font = _font(size)
            rows = [row for line in lines for row in wrapped(line, font, 0.9 * self._width)]
            most = max(1, int(_MOST * self._height / _row_height(font)))
            if len(rows) <= most:
                return rows, font
            if size == _SMALLEST:
                return [*rows[: most - 1], f"{rows[most - 1]}…"], font
            size = max(_SMALLEST, int(0.9 * size))


def wrapped(text: str, font: _Font, width: float) -> Iterator[str]:
    """The words of a text in rows of at most `width` pixels. A longer word is broken anywhere."""
    row = ""
    for word in text.split():
        if font.getlength(f"{row} {word}".lstrip()) <= width:
            row = f"{row} {word}".lstrip()
            continue
        if row:
            yield row
        row = ""
        for character in word:
            if row and font.getlength(row + character) > width:
                yield row
                row = ""
            row += character
    if row:
        yield row


def _font(size: int) -> _Font:
    """DejaVu Sans, which knows many scripts, where the system has it; else Pillow's own, which knows Latin."""
    try:
        return ImageFont.truetype("DejaVuSans.ttf", size)
    except OSError:
        return ImageFont.load_default(size)


def _row_height(font: _Font) -> int:
    if isinstance(font, ImageFont.FreeTypeFont):
        return sum(font.getmetrics())
    return round(font.getbbox("Ágy")[3])
