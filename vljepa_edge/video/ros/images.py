"""ROS's image messages as pictures: sensor_msgs/Image in FFmpeg's pixel formats, sensor_msgs/CompressedImage decoded.

Messages are those of rclpy, rosbags or any other object with the fields of the definition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, cast

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from vljepa_edge.errors import FrameError
from vljepa_edge.support.arguments import shown
from vljepa_edge.video.frame import MAX_PIXELS

Bytes: TypeAlias = bytes | bytearray | memoryview | NDArray[np.uint8] | Sequence[int]  # rclpy's is an array.array


class ImageMessage(Protocol):
    """sensor_msgs/Image. `step`: bytes from one row to the next."""

    height: int
    width: int
    encoding: str
    step: int
    data: Bytes


class CompressedImageMessage(Protocol):
    """sensor_msgs/CompressedImage."""

    format: str
    data: Bytes


# Encoding -> FFmpeg's pixel format. Of those without a name for their channels OpenCV's order is meant.
_FORMATS = {
    "rgb8": "rgb24",
    "bgr8": "bgr24",
    "8UC3": "bgr24",
    "rgba8": "rgba",
    "bgra8": "bgra",
    "8UC4": "bgra",
    "mono8": "gray",
    "8UC1": "gray",
    "yuyv": "yuyv422",
    "yuv422_yuy2": "yuyv422",
    "uyvy": "uyvy422",
    "yuv422": "uyvy422",
    "nv12": "nv12",
    "nv21": "nv21",
    "bayer_rggb8": "bayer_rggb8",
    "bayer_bggr8": "bayer_bggr8",
    "bayer_gbrg8": "bayer_gbrg8",
    "bayer_grbg8": "bayer_grbg8",
}
_PIXEL_BYTES = {"rgb24": 3, "bgr24": 3, "rgba": 4, "bgra": 4, "yuyv422": 2, "uyvy422": 2}  # 1 for all others
_PAIRS = ("yuyv422", "uyvy422", "nv12", "nv21")  # whose rows hold pairs of pixels
_BT601 = 6  # in the tables of ITU-T H.273: what ROS's own conversion takes YUV for, whatever the size
_CODECS = {b"\xff\xd8": "mjpeg", b"\x89P": "png"}  # by the first two bytes


def image_frame(message: ImageMessage) -> av.VideoFrame:
    """The pixels of an Image, Bayer mosaics as RGB. The rows may be padded; byte order is of no matter with 8 bits.

    Raises FrameError for an encoding that is not known, and sizes that its data does not have.
    """
    encoding, width, height, step = message.encoding, int(message.width), int(message.height), int(message.step)
    pixel_format, row, rows = layout(encoding, width, height)
    data = as_bytes(message.data)
    needed = step * (rows - 1) + row
    if step < row:
        raise FrameError(f"the step of {width} {encoding} pixels must be at least {row} bytes, got {step}")
    if data.size < needed:
        raise FrameError(f"{width} x {height} in {encoding} must have {needed} bytes of data, got {data.size}")
    lines = np.lib.stride_tricks.as_strided(data, (rows, row), (step, 1), writeable=False)
    frame = av.VideoFrame(width, height, pixel_format)
    first = 0
    for plane in frame.planes:
        into = np.frombuffer(cast("memoryview", plane), np.uint8).reshape(-1, plane.line_size)
        into[: plane.height, :row] = lines[first : first + plane.height]
        first += plane.height
    if pixel_format in _PAIRS:
        frame.colorspace = _BT601
    return frame.reformat(format="rgb24") if pixel_format.startswith("bayer") else frame


class Layout(NamedTuple):
    """How pixels lie: FFmpeg's pixel format, the bytes of a row that is not padded, and the rows of all planes."""

    pixel_format: str
    row: int
    rows: int


def layout(encoding: str, width: int, height: int) -> Layout:
    """Raises FrameError for an encoding that is not known and a size that it can't have."""
    pixel_format = _FORMATS.get(encoding)
    if pixel_format is None:
        raise FrameError(f"the encoding must be one of {', '.join(_FORMATS)}, got {shown(encoding)}")
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise FrameError(f"an image must have 1 to {MAX_PIXELS} pixels, got {width} x {height}")
    if pixel_format.startswith("bayer") and (width % 2 or height % 2):
        raise FrameError(f"the sides of a {encoding} image must be even, got {width} x {height}")
    row = (width + width % 2 if pixel_format in _PAIRS else width) * _PIXEL_BYTES.get(pixel_format, 1)
    return Layout(pixel_format, row, height + (height + 1) // 2 if pixel_format in ("nv12", "nv21") else height)


def as_bytes(data: Bytes) -> NDArray[np.uint8]:
    """The bytes of a message's field, not copied where it has a buffer."""
    if isinstance(data, np.ndarray):
        return np.ascontiguousarray(data).reshape(-1).view(np.uint8)
    if isinstance(data, list | tuple):
        return np.array(data, np.uint8)
    return np.frombuffer(cast("bytes", data), np.uint8)


def compressed_frame(message: CompressedImageMessage) -> av.VideoFrame | None:
    """The picture of a CompressedImage, None where it is damaged. Raises FrameError for what is no JPEG or PNG."""
    data = as_bytes(message.data).tobytes()
    codec = _CODECS.get(data[:2])
    if codec is None:
        got = f"{shown(message.format)} of {len(data)} bytes"
        raise FrameError(f"a compressed image must be JPEG or PNG, got {got}")
    # A new decoder each time takes a tenth of a millisecond. FFmpeg's for PNG gives wrong pictures after a damaged one.
    decoder = cast("av.VideoCodecContext", av.CodecContext.create(codec, "r"))
    decoder.thread_count = 1  # threads would hold the picture back until the next
    decoder.options = {"max_pixels": str(MAX_PIXELS)}
    try:
        frames = decoder.decode(av.Packet(data))
    except FFmpegError:
        return None
    return frames[0] if frames and not frames[0].is_corrupt else None


def holds_image(message_type: str) -> bool:
    """Whether messages of a type, in the names of ROS 1 or 2, are images."""
    return message_type.replace("/msg/", "/") in ("sensor_msgs/Image", "sensor_msgs/CompressedImage")


def reader_of(message_type: str) -> Callable[[Any], av.VideoFrame | None]:
    """What reads messages of such a type; it gives None for a picture that is damaged."""
    return compressed_frame if message_type.endswith("/CompressedImage") else image_frame
