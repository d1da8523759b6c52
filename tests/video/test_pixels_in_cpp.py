"""Pixels in C++ are those of Python, for every format that cameras give, every size and both ways to fit."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import Any, Literal

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.cpp_programs import program
from vljepa_edge.video import colour
from vljepa_edge.video.preprocess import Scaler, resize

Image = NDArray[np.uint8]
SIZES = [  # width, height, of the picture and of what is made of it
    *((640, 480, 224, 224), (1920, 1080, 224, 224), (320, 240, 224, 224), (224, 224, 224, 224), (100, 75, 224, 224)),
    *((33, 57, 31, 17), (17, 300, 32, 32), (225, 224, 224, 224), (2, 2, 16, 16), (7, 5, 20, 3), (1, 1, 8, 8)),
    *((3000, 40, 64, 64), (40, 3000, 64, 64), (1000, 10, 16, 16), (500, 500, 8, 8), (448, 448, 224, 224)),
]


def picture(width: int, height: int, channels: int, seed: int = 0) -> Image:
    """Smooth colours with noise and hard edges, from black to white."""
    rng = np.random.default_rng([width, height, channels, seed])
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (3 + 5 * c) + y / (7 + c)) * 110 + 128 for c in range(channels)]
    image = np.stack(waves, -1) + rng.normal(0, 30, (height, width, channels))
    image[height // 3 : height // 2, width // 4 : width // 2] = 255 * rng.integers(0, 2, channels)
    return np.clip(image, 0, 255).astype(np.uint8)


@cache
def scaler(*arguments: str) -> subprocess.Popen[bytes]:
    """One process for all cases."""
    pipe = subprocess.PIPE
    return subprocess.Popen([program("scale_pictures"), *arguments], stdin=pipe, stdout=pipe)


def scaled(
    format: str, planes: list[Image], width: int, height: int, case: tuple[int, int, str], **about: Any
) -> Image:
    """What C++ makes of a picture of width x height whose planes are rows of bytes."""
    to_width, to_height, mode = case
    pad = about.get("pad", 0)
    process = scaler(*about.get("arguments", ()))
    assert process.stdin is not None and process.stdout is not None
    about_colour = f"{about.get('matrix', 'auto')} {about.get('range', 'limited')}"
    line = f"{format} {width} {height} {to_width} {to_height} {mode} {about_colour} {pad}\n"
    rows = [np.pad(plane.reshape(len(plane), -1), ((0, 0), (0, pad)), constant_values=77) for plane in planes]
    process.stdin.write(line.encode() + b"".join(row.tobytes() for row in rows))
    process.stdin.flush()
    size = to_width * to_height * 3
    return np.frombuffer(process.stdout.read(size), np.uint8).reshape(to_height, to_width, 3)


@pytest.mark.parametrize("mode", ["cover", "stretch"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_rgb(size: tuple[int, int, int, int], mode: Literal["cover", "stretch"]) -> None:
    width, height, *to = size
    image = picture(width, height, 3)
    expected = resize(image, to[0], to[1], mode)
    np.testing.assert_array_equal(scaled("rgb", [image], width, height, (*to, mode)), expected)


@pytest.mark.parametrize("format", ["bgr", "rgba", "bgra", "grey"])
def test_packed_formats_with_padded_rows(format: str) -> None:
    image = picture(160, 90, 1 if format == "grey" else len(format))
    order = {"bgr": [2, 1, 0], "rgba": [0, 1, 2], "bgra": [2, 1, 0], "grey": [0, 0, 0]}[format]
    expected = resize(np.ascontiguousarray(image[..., order]), 64, 64)
    np.testing.assert_array_equal(scaled(format, [image], 160, 90, (64, 64, "cover"), pad=13), expected)


def yuv_frame(format: str, width: int, height: int) -> tuple[av.VideoFrame, list[Image]]:
    """A frame of PyAV, and its planes without padding."""
    name = {"yuyv": "yuyv422", "i420": "yuv420p", "nv12": "nv12"}[format]
    half, half_height = (width + 1) // 2, (height + 1) // 2
    shapes = {
        "yuyv": [(height, 4 * half)],
        "i420": [(height, width), (half_height, half), (half_height, half)],
        "nv12": [(height, width), (half_height, 2 * half)],
    }[format]
    planes = [picture(columns, rows, 1, seed)[..., 0] for seed, (rows, columns) in enumerate(shapes)]
    frame = av.VideoFrame(width, height, name)
    for plane, data in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[: data.shape[0], : data.shape[1]] = data[: plane.height]
        plane.update(rows)
    return frame, planes


@pytest.mark.parametrize("mode", ["cover", "stretch"])
@pytest.mark.parametrize("format", ["nv12", "yuyv", "i420"])
@pytest.mark.parametrize("size", [size for size in SIZES if size[0] > 2 and size[1] > 2], ids=str)
def test_yuv(size: tuple[int, int, int, int], format: str, mode: Literal["cover", "stretch"]) -> None:
    width, height, *to = size
    frame, planes = yuv_frame(format, width, height)
    colour.tag(frame)
    expected = Scaler().fit(frame, (to[0], to[1]), mode)
    np.testing.assert_array_equal(scaled(format, planes, width, height, (*to, mode), pad=5), expected)


@pytest.mark.parametrize(("matrix", "colorspace"), [("601", 6), ("709", 1)])
@pytest.mark.parametrize(("range_", "color_range"), [("limited", 1), ("full", 2)])
def test_the_matrix_and_the_range_of_yuv(matrix: str, colorspace: int, range_: str, color_range: int) -> None:
    frame, planes = yuv_frame("nv12", 320, 180)
    frame.colorspace, frame.color_range = colorspace, color_range
    expected = Scaler().fit(frame, (96, 64), "cover")
    found = scaled("nv12", planes, 320, 180, (96, 64, "cover"), matrix=matrix, range=range_)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("arguments", [(), ("plain",)], ids=["this processor", "every processor"])
def test_any_size(arguments: tuple[str, ...]) -> None:
    """With the vectors of this processor, and with those that each one has."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        width, height, *to = (int(side) for side in rng.integers(1, (400, 400, 130, 130)))
        mode: Literal["cover", "stretch"] = "cover" if rng.integers(2) else "stretch"
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        found = scaled("rgb", [image], width, height, (*to, mode), arguments=arguments)
        np.testing.assert_array_equal(found, resize(image, to[0], to[1], mode), str((width, height, to, mode)))
