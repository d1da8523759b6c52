"""Pictures: JPEGs that another decoder reads, of the frame that they should be of."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.media import flat, number_of
from vljepa_edge.serve.pictures import PictureRing, Tap, encode_jpeg, shrink


def read(picture: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(picture)) as image:
        assert image.format == "JPEG"
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1080, 1920), (360, 640)), ((1920, 1080), (640, 360)), ((33, 47), (32, 48)), ((1, 1), (2, 2)),
     ((5, 5000), (2, 640)), ((480, 640), (480, 640))],
)  # fmt: skip
def test_a_picture_keeps_colours_and_shape_and_is_small(size: tuple[int, int], expected: tuple[int, int]) -> None:
    image = np.empty((*size, 3), np.uint8)
    image[:] = (200, 60, 30)
    image[: size[0] // 2] = (20, 90, 220)
    shown = read(encode_jpeg(shrink(image)))
    assert shown.shape[:2] == expected
    if min(size) > 8:
        np.testing.assert_allclose(shown[2, 2], (20, 90, 220), atol=6)
        np.testing.assert_allclose(shown[-3, -3], (200, 60, 30), atol=6)


def test_a_view_with_gaps_is_a_picture_too() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    assert encode_jpeg(shrink(image[:, ::-1])) == encode_jpeg(shrink(image[:, ::-1].copy()))


def test_a_tap_shows_the_newest_frame_and_those_near_a_time() -> None:
    tap = Tap(0.25, kept=4)
    assert tap.newest() is None and tap.near(0.0) is None and tap.number == 0
    for frame in range(12):  # 8 a second: every other one is kept
        tap.put(flat(frame), frame / 8)
    number, picture = tap.newest() or (0, b"")
    assert (number, number_of(read(picture))) == (12, 11)
    near = {time: number_of(read(tap.near(time) or b"")) for time in (0.0, 0.49, 0.8, 1.0, 1.25, 9.0)}
    assert near == {0.0: 4, 0.49: 4, 0.8: 6, 1.0: 8, 1.25: 10, 9.0: 10}


def test_a_picture_of_the_newest_frame_is_made_once_for_all_who_look() -> None:
    tap = Tap(0.25, kept=4)
    tap.put(flat(1), 0.0)
    first, second = tap.newest(), tap.newest()
    assert first is second
    tap.put(flat(2), 0.1)
    third = tap.newest()
    assert third is not None and third[0] == 2 and number_of(read(third[1])) == 2


def test_a_clock_that_jumps_back_is_followed() -> None:
    tap = Tap(0.25, kept=4)
    tap.put(flat(1), 100.0)
    tap.put(flat(2), 1.0)
    assert number_of(read(tap.near(1.0) or b"")) == 2


def test_the_ring_keeps_the_newest() -> None:
    ring = PictureRing(3)
    for number in range(5):
        ring.put(number, bytes([number]))
    assert [ring.get(number) for number in range(5)] == [None, None, b"\x02", b"\x03", b"\x04"]
