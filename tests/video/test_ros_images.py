"""ROS's image messages: every encoding gives the pixels that it stands for, whatever object carries it."""

from __future__ import annotations

import array
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.video.bags import BEGIN, COMPRESSED, IMAGE, ROS2, Said, compressed, image, mosaic, serialized
from vljepa_edge.errors import FrameError
from vljepa_edge.video.ros.images import compressed_frame, image_frame

Pixels = NDArray[np.uint8]
RED, GREEN, BLUE, GREY = (200, 40, 30), (20, 180, 60), (30, 50, 220), (128, 128, 128)


def rgb(message: Any) -> Pixels:
    """What a message shows, uint8 RGB (height, width, 3)."""
    return image_frame(message).to_ndarray(format="rgb24")


def message(fields: dict[str, Any]) -> Any:
    """Fields as an object, by way of CDR bytes."""
    return ROS2.deserialize_cdr(serialized(Said("/c", IMAGE, BEGIN, BEGIN, fields)), IMAGE)


def scene(height: int, width: int) -> Pixels:
    """A smooth picture in which each channel runs another way."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, 255 - x * 255 // width], axis=-1).astype(np.uint8)


def in_yuv(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """BT.601 with limited range, by its definition."""
    red, green, blue = (value / 255 for value in colour)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    u, v = (blue - y) / (2 * (1 - 0.114)), (red - y) / (2 * (1 - 0.299))
    return round(16 + 219 * y), round(128 + 224 * u), round(128 + 224 * v)


@pytest.mark.parametrize("padding", [0, 1, 13])
@pytest.mark.parametrize(
    ("encoding", "channels"),
    [("rgb8", [0, 1, 2]), ("bgr8", [2, 1, 0]), ("8UC3", [2, 1, 0]), ("rgba8", [0, 1, 2, 0]), ("bgra8", [2, 1, 0, 0]),
     ("8UC4", [2, 1, 0, 0])],
)  # fmt: skip
def test_channels_are_put_in_their_order_and_padding_of_rows_is_left_out(
    encoding: str, channels: list[int], padding: int
) -> None:
    seen = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert np.array_equal(rgb(message(image(seen[..., channels], encoding, padding))), seen)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_is_repeated(encoding: str) -> None:
    seen = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
    assert np.array_equal(rgb(message(image(seen, encoding, 3))), np.repeat(seen[..., None], 3, axis=2))


@pytest.mark.parametrize("colour", [RED, GREEN, BLUE, GREY])
@pytest.mark.parametrize("size", [(48, 64), (1080, 1920), (5, 7)])
@pytest.mark.parametrize("encoding", ["yuyv", "yuv422_yuy2", "uyvy", "yuv422", "nv12", "nv21"])
def test_yuv_is_that_of_bt601_at_any_size(encoding: str, size: tuple[int, int], colour: tuple[int, int, int]) -> None:
    height, width = size
    y, u, v = in_yuv(colour)
    across = width + width % 2
    if encoding.startswith("nv"):
        pair = [u, v] if encoding == "nv12" else [v, u]
        rows = np.vstack([np.full((height, across), y), np.tile(pair, ((height + 1) // 2, across // 2))])
    else:
        four = [y, u, y, v] if encoding in ("yuyv", "yuv422_yuy2") else [u, y, v, y]
        rows = np.tile(four, (height, across // 2))
    fields = {**image(rows.astype(np.uint8), encoding, 6), "height": height, "width": width}
    shown = rgb(message(fields))
    assert shown.shape == (height, width, 3)
    assert np.abs(shown.astype(int) - colour).max() <= 3


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_bayer_mosaic_gives_the_picture_that_the_sensor_saw(pattern: str) -> None:
    for colour in (RED, GREEN, BLUE):
        flat = np.full((6, 8, 3), colour, np.uint8)
        assert np.array_equal(rgb(message(image(mosaic(flat, pattern), f"bayer_{pattern}8", 5))), flat)
    seen = scene(96, 128)
    shown = rgb(message(image(mosaic(seen, pattern), f"bayer_{pattern}8")))
    assert np.abs(shown.astype(int) - seen).mean() < 2


@pytest.mark.parametrize("big_endian", [0, 1])
def test_byte_order_is_of_no_matter_with_8_bits(big_endian: int) -> None:
    seen = scene(4, 6)
    assert np.array_equal(rgb(message({**image(seen), "is_bigendian": big_endian})), seen)


@pytest.mark.parametrize("carry", [bytes, bytearray, memoryview, list, lambda b: array.array("B", b)])
def test_data_may_be_any_kind_of_bytes_as_rclpy_s_array_is(carry: Any) -> None:
    seen = scene(4, 6)
    fields = image(seen, padding=2)
    assert np.array_equal(rgb(SimpleNamespace(**{**fields, "data": carry(fields["data"].tobytes())})), seen)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoding": "mono16"}, "the encoding must be one of rgb8, bgr8, .* got 'mono16'"),
        ({"encoding": ""}, "the encoding must be one of .* got ''"),
        ({"step": 17}, "the step of 6 rgb8 pixels must be at least 18 bytes, got 17"),
        ({"height": 5}, "6 x 5 in rgb8 must have 90 bytes of data, got 72"),
        ({"height": 0}, "must have 1 to 134217728 pixels, got 6 x 0"),
        ({"width": 2**31, "height": 2**31}, "must have 1 to 134217728 pixels"),
        ({"encoding": "bayer_rggb8", "height": 3}, "the sides of a bayer_rggb8 image must be even, got 6 x 3"),
        ({"encoding": "nv12", "height": 4}, "6 x 4 in nv12 must have 96 bytes of data, got 72"),
    ],
)
def test_what_is_no_image_is_a_frame_error_that_says_why(change: dict[str, Any], said: str) -> None:
    with pytest.raises(FrameError, match=said):
        image_frame(message({**image(scene(4, 6)), **change}))


@settings(max_examples=300, deadline=None)
@given(
    encoding=st.sampled_from(["rgb8", "mono8", "yuyv", "nv12", "nv21", "bayer_grbg8", "bgra8", "none"]),
    width=st.integers(0, 9),
    height=st.integers(0, 9),
    step=st.integers(0, 40),
    data=st.binary(max_size=500),
)
def test_any_message_is_a_picture_of_its_size_or_a_frame_error(
    encoding: str, width: int, height: int, step: int, data: bytes
) -> None:
    made = SimpleNamespace(encoding=encoding, width=width, height=height, step=step, data=data)
    try:
        shown = rgb(made)
    except FrameError:
        return
    assert shown.shape == (height, width, 3)


def test_a_compressed_image_is_what_pillow_wrote_and_what_is_neither_jpeg_nor_png_is_refused() -> None:
    seen = scene(48, 64)
    for kind, tolerance in (("png", 0), ("jpeg", 12)):
        raw = serialized(Said("/c", COMPRESSED, BEGIN, BEGIN, compressed(seen, kind)))
        frame = compressed_frame(ROS2.deserialize_cdr(raw, COMPRESSED))  # type: ignore[arg-type]
        assert frame is not None
        assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - seen).max() <= tolerance
    for data in (b"", b"\0", b"\0" * 12 + b"\x89PNG"):
        with pytest.raises(FrameError, match=f"must be JPEG or PNG, got '16UC1; compressedDepth' of {len(data)} bytes"):
            compressed_frame(SimpleNamespace(format="16UC1; compressedDepth", data=data))


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(2, 3000), flips=st.lists(st.tuples(st.integers(2, 3000), st.integers(0, 255)), max_size=5))
def test_a_damaged_picture_is_none_or_a_picture_and_the_next_one_is_right(cut: int, flips: list[Any]) -> None:
    seen = scene(24, 32)
    for kind in ("png", "jpeg"):
        good = compressed(seen, kind)["data"].tobytes()
        bad = bytearray(good[:cut])
        for place, value in flips:
            if place < len(bad):
                bad[place] = value
        compressed_frame(SimpleNamespace(format=kind, data=bytes(bad)))
        frame = compressed_frame(SimpleNamespace(format=kind, data=good))
        assert frame is not None
        assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - seen).max() <= (0 if kind == "png" else 40)
