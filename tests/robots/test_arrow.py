"""Images of dora, arrays of pyarrow with metadata, give the pixels that were sent."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.video.bags import compressed
from vljepa_edge.errors import FrameError, InputError
from vljepa_edge.robots.arrow import arrow_frame, arrow_text, arrow_time

SEEN = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
META = {"encoding": "rgb8", "width": 8, "height": 6, "timestamp": "of dora", "primitive": "image"}


def shown(value: Any, **metadata: Any) -> Any:
    frame = arrow_frame(value, META | metadata)
    return None if frame is None else frame.to_ndarray(format="rgb24")


def test_pixels_are_those_that_were_sent() -> None:
    assert np.array_equal(shown(pa.array(SEEN.ravel())), SEEN)
    assert np.array_equal(shown(pa.array(SEEN[..., ::-1].ravel()), encoding="bgr8"), SEEN)
    assert np.array_equal(shown(pa.array(SEEN[..., 0].ravel()), encoding="mono8")[..., 2], SEEN[..., 0])
    assert shown(pa.array(np.full(72, 128, np.uint8)), encoding="nv12").shape == (6, 8, 3)
    sliced = pa.array(np.concatenate([[1, 2, 3], SEEN.ravel()]).astype(np.uint8)).slice(3)
    assert np.array_equal(shown(sliced), SEEN)


def test_jpeg_and_png_need_no_size_and_a_damaged_one_is_none() -> None:
    for kind in ("png", "jpeg"):
        data = compressed(np.full((6, 8, 3), (200, 40, 90), np.uint8), kind)["data"]
        frame = arrow_frame(pa.array(data), {"encoding": kind})
        assert frame is not None
        assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - (200, 40, 90)).max() < 5
        assert arrow_frame(pa.array(data[:20]), {"encoding": kind}) is None


@pytest.mark.parametrize(
    ("value", "metadata", "said"),
    [
        (pa.array(SEEN.ravel()[:-1]), {}, "8 x 6 in rgb8 must have 144 bytes of data, got 143"),
        (pa.array(SEEN.ravel()), {"width": 4}, "4 x 6 in rgb8 must have 72 bytes of data, got 144"),
        (pa.array(SEEN.ravel()), {"encoding": "mono16"}, "the encoding must be one of rgb8, .*, got 'mono16'"),
        (pa.array(SEEN.ravel()), {"height": "6"}, "metadata must have the text encoding and the integers width"),
        (pa.array(SEEN.ravel()), {"encoding": None}, "metadata must have the text encoding"),
        (pa.array(SEEN.ravel()), {"encoding": "png"}, "a compressed image must be JPEG or PNG"),
        (pa.array(SEEN.ravel().astype(float)), {}, "an image must be an array of uint8 without nulls, got DataType"),
        (pa.array([1, None], pa.uint8()), {}, "an image must be an array of uint8 without nulls"),
        ("no array", {}, "an image must be an array of uint8 without nulls, got 'no array'"),
    ],
)
def test_what_is_no_image_is_a_frame_error(value: Any, metadata: dict[str, Any], said: str) -> None:
    with pytest.raises(FrameError, match=said):
        shown(value, **metadata)


def test_the_time_is_that_of_dora() -> None:
    assert arrow_time({"timestamp": datetime(2026, 1, 1, 0, 0, 1, 500_000, tzinfo=timezone.utc)}) == 1767225601.5
    for metadata in ({}, {"timestamp": 5}):
        with pytest.raises(InputError, match="metadata must have a timestamp"):
            arrow_time(metadata)


def test_a_text_is_the_one_of_its_array() -> None:
    assert arrow_text(pa.array(["What moves?"])) == arrow_text(pa.array(["What moves?"], pa.large_string()))
    assert arrow_text(pa.array(["no", "What moves?"]).slice(1)) == "What moves?"


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (pa.array([], pa.string()), "0 of string"),
        (pa.array(["a", "b"]), "2 of string"),
        (pa.array([None], pa.string()), "1 of string"),
        (pa.array([1]), "1 of int64"),
    ],
)
def test_what_is_no_text_is_an_input_error(value: Any, got: str) -> None:
    with pytest.raises(InputError, match=f"a text must be an array of one text, got {got}"):
        arrow_text(value)
