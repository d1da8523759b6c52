"""Captions as they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from vljepa_edge.sinks.lettering import Lettering, wrapped

FONT = ImageFont.load_default(16)


@given(st.text(st.characters(categories=["L", "N", "Zs"]), max_size=60), st.integers(20, 200))
def test_rows_hold_all_words_and_are_not_wider_than_allowed(text: str, width: int) -> None:
    rows = list(wrapped(text, FONT, width))
    assert "".join("".join(rows).split()) == "".join(text.split())
    assert all(FONT.getlength(row) <= width or len(row) == 1 for row in rows)
    assert all(row == row.strip() and row for row in rows)


def test_words_that_fit_are_not_broken() -> None:
    text = "a dog runs to the left and a cat follows it"
    rows = list(wrapped(text, FONT, FONT.getlength("a dog runs to the left")))
    assert rows[0] == "a dog runs to the left" and " ".join(rows) == text


def changed(width: int, height: int, *lines: str) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which pixels a caption changes, of a light or of a dark picture."""
    light, dark = np.full((height, width, 3), 128, np.uint8), np.full((height, width, 3), 20, np.uint8)
    letters = Lettering(width, height)
    letters.onto(light, lines)
    letters.onto(dark, lines)
    return ((light != 128) | (dark != 20)).any(2)


def test_a_caption_is_a_box_at_the_bottom_in_the_middle() -> None:
    box = changed(640, 360, "a dog runs")
    rows, columns = np.flatnonzero(box.any(1)), np.flatnonzero(box.any(0))
    assert box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert rows[0] > 360 * 0.8 and rows[-1] < 360 - 10
    assert abs(columns[0] - (639 - columns[-1])) <= 1
    assert box.sum() < changed(640, 360, "a dog runs to the left").sum() < changed(640, 360, *["a dog runs"] * 3).sum()


def test_letters_are_white_on_a_box_that_lets_the_picture_through() -> None:
    image = np.full((360, 640, 3), (200, 100, 0), np.uint8)
    Lettering(640, 360).onto(image, ("HELLO",))
    white = (image > 250).all(2)
    box = (image == [round(200 * 105 / 255), round(100 * 105 / 255), 0]).all(2)
    assert white.sum() > 200 and box.sum() > white.sum()
    assert (image == (200, 100, 0)).all(2).sum() > 0.9 * 640 * 360


def test_letters_are_those_of_the_text() -> None:
    """The white of a caption is the mask of the same text in the same font, wherever it lies."""
    image = np.zeros((360, 640, 3), np.uint8)
    Lettering(640, 360).onto(image, ("Quick brown fox",))
    found = image[:, :, 0].astype(int)
    rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
    cut = found[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    masks = []
    for name in ("DejaVuSans.ttf", None):
        try:
            font = ImageFont.load_default(20) if name is None else ImageFont.truetype(name, 20)
        except OSError:
            continue
        mask = font.getmask("Quick brown fox", mode="L")
        masks.append(np.array(mask, int).reshape(mask.size[::-1]))
    assert any(abs(cut.sum() / mask.sum() - 1) < 0.02 and abs(cut.shape[1] - mask.shape[1]) <= 2 for mask in masks)


@pytest.mark.parametrize(("width", "height"), [(2, 2), (16, 16), (64, 48), (100, 1000), (1920, 64)])
def test_any_text_fits_any_picture(width: int, height: int) -> None:
    box = changed(width, height, *["a very long caption with many words " * 5] * 4)
    assert box.any()
    if height >= 48:
        assert box[: int(0.3 * height)].sum() == 0, "the upper part stays free"


def test_no_lines_change_nothing_and_the_kept_drawing_is_of_the_lines() -> None:
    letters = Lettering(320, 240)
    first, second, none = (np.zeros((240, 320, 3), np.uint8) for _ in range(3))
    letters.onto(first, ("one",))
    letters.onto(none, ())
    letters.onto(second, ("another",))
    again = np.zeros((240, 320, 3), np.uint8)
    letters.onto(again, ("one",))
    assert not none.any() and (first != second).any() and (first == again).all()
