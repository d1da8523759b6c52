"""Hard cuts and flashes, seen by the default model: a segment a picture, a flash none, and the cut where it was."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vljepa_edge.model import Model, load
from vljepa_edge.streaming.event import Event

Image = NDArray[np.uint8]
FPS = 8  # twice the model's


@pytest.fixture(scope="module")
def tiny() -> Model:
    return load()


def sky() -> Image:
    y, _ = np.mgrid[:120, :160]
    air = np.stack([90 + y * 0.5, 140 + y * 0.5, 250 - y * 0.3], -1)
    return np.where((y > 80)[..., None], (60, 120, 40), air).astype(np.uint8)


def house() -> Image:
    picture = sky()
    picture[50:100, 50:110] = (150, 70, 40)
    picture[70:100, 72:88] = (60, 30, 10)
    return picture


def disc() -> Image:
    y, x = np.mgrid[:120, :160]
    inside = (x - 80) ** 2 + (y - 60) ** 2 < 1600
    return np.where(inside[..., None], (220, 30, 30), (240, 240, 240)).astype(np.uint8)


def stripes() -> Image:
    _, x = np.mgrid[:120, :160]
    return np.where((x // 10 % 2 == 0)[..., None], (20, 20, 120), (230, 200, 40)).astype(np.uint8)


def card(ground: tuple[int, int, int], colour: tuple[int, int, int], box: tuple[int, int, int, int]) -> Image:
    left, top, right, bottom = box
    picture = np.full((120, 160, 3), ground, np.uint8)
    picture[top:bottom, left:right] = colour
    return picture


def pink_card() -> Image:
    return card((254, 66, 140), (125, 128, 141), (26, 68, 72, 89))


def green_card() -> Image:
    return card((114, 190, 0), (195, 49, 164), (85, 55, 144, 105))


def events(model: Model, *parts: tuple[Image, int]) -> list[Event]:
    frames = [image for image, count in parts for _ in range(count)]
    with model.open_stream() as stream:
        return [e for i, frame in enumerate(frames) for e in stream.push(frame, i / FPS)] + stream.flush()


def starts(found: list[Event]) -> list[float]:
    return [event.start for event in found if event.status == "closed"]


@pytest.mark.parametrize(
    ("first", "second"),
    [(sky, house), (house, disc), (disc, house), (stripes, sky), (pink_card, green_card)],
)
def test_a_hard_cut_between_two_pictures_makes_two_segments(tiny: Model, first, second) -> None:  # type: ignore[no-untyped-def]
    found = events(tiny, (first(), 20), (second(), 24))
    assert starts(found) == pytest.approx([0, 2.5], abs=0.25)


def test_the_second_segment_opens_as_soon_as_the_change_has_lasted(tiny: Model) -> None:
    opened = [e for e in events(tiny, (disc(), 20), (stripes(), 16)) if e.status == "open"]
    assert [e.start for e in opened] == [0, 2.5]
    assert opened[1].decided_at - opened[1].start == 0.5  # min_duration
    (alone, *_) = [e for e in events(tiny, (stripes(), 16)) if e.status == "closed"]
    np.testing.assert_allclose(
        opened[1].embedding, alone.embedding, atol=1e-4
    )  # of the new picture, and of nothing else


def test_pictures_shorter_than_the_window_have_a_segment_each(tiny: Model) -> None:
    assert starts(events(tiny, (disc(), 8), (stripes(), 8), (sky(), 8), (disc(), 8))) == [0, 1, 2, 3]


@pytest.mark.parametrize("level", [255, 0])
@pytest.mark.parametrize("count", [1, 3])
def test_a_flash_makes_no_segment(tiny: Model, level: int, count: int) -> None:
    flash = np.full_like(sky(), level)
    for picture in (house(), stripes()):
        assert starts(events(tiny, (picture, 18), (flash, count), (picture, 18))) == [0]
