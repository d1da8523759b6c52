"""Animated WebP, which FFmpeg does not decode: its pictures one by one, put on the canvas as the file says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

import av
import numpy as np
from av.error import FFmpegError

from vljepa_edge.errors import VideoError
from vljepa_edge.video.frame import MAX_PIXELS, Image, Picture, Pictures, SourceStats
from vljepa_edge.video.preprocess import with_alpha

_ANIMATED = 0x02  # in the flags of VP8X
_KEEP_BELOW, _CLEAR_AFTER = 0x02, 0x01  # in the flags of a frame: it replaces what is below it; its place is cleared


class _Part(NamedTuple):
    """One picture of an animation: its place, flags, duration in milliseconds, and its chunks."""

    left: int
    top: int
    width: int
    height: int
    duration: int
    flags: int
    chunks: bytes


class AnimatedWebP:
    """One open animation."""

    def __init__(self, path: str, data: bytes, stats: SourceStats) -> None:
        """Raises VideoError if its header is damaged or its canvas too large."""
        self._path, self._data, self._stats = path, data, stats
        self._width, self._height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        if self._width * self._height > MAX_PIXELS:
            size = f"{self._width} x {self._height}"
            raise VideoError(path, f"frames of {size} are too large; at most {MAX_PIXELS} pixels are read")

    def close(self) -> None:
        """Nothing is held."""

    def pictures(self) -> Pictures:
        """Each frame as it is seen, transparent places in black, at its time."""
        canvas = np.zeros((self._height, self._width, 4), np.uint8)
        end = 0
        for part in self._parts():
            time, end = end, end + part.duration
            try:
                pixels = _decoded(part)
            except FFmpegError:
                self._stats.corrupt += 1
                continue
            place = canvas[part.top : part.top + part.height, part.left : part.left + part.width]
            if pixels.shape != place.shape:
                self._stats.corrupt += 1
                continue
            place[:] = pixels if part.flags & _KEEP_BELOW else _over(pixels, place)
            self._stats.frames_decoded += 1
            yield Picture(np.ascontiguousarray(canvas[:, :, :3]), time / 1000)
            if part.flags & _CLEAR_AFTER:
                place[:] = 0

    def _parts(self) -> Iterator[_Part]:
        for name, chunk in chunks(self._data[12:]):
            if name == b"ANMF" and len(chunk) > 16:
                left, top, width, height, duration = (
                    int.from_bytes(chunk[i : i + 3], "little") for i in range(0, 15, 3)
                )
                yield _Part(2 * left, 2 * top, width + 1, height + 1, duration, chunk[15], chunk[16:])


def read_animated(path: str) -> bytes | None:
    """The bytes of an animated WebP; None if the file is none."""
    with open(path, "rb") as file:
        head = file.read(30)
        if len(head) < 30 or head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8X" or not head[20] & _ANIMATED:
            return None
        return head + file.read()


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of RIFF chunks."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _decoded(part: _Part) -> Image:
    """The pixels of one picture, uint8 RGBA: it is decoded as a WebP photo of its own."""
    extended = b""
    if any(name == b"ALPH" for name, _ in chunks(part.chunks)):
        sides = (part.width - 1).to_bytes(3, "little") + (part.height - 1).to_bytes(3, "little")
        extended = b"VP8X\x0a\0\0\0" + b"\x10\0\0\0" + sides
    body = b"WEBP" + extended + part.chunks
    decoder = av.codec.CodecContext.create("webp", "r")
    packet = av.Packet(b"RIFF" + len(body).to_bytes(4, "little") + body)
    frames = [*decoder.decode(packet), *decoder.decode(None)]
    return with_alpha(frames[0]) if frames else np.zeros((0, 0, 4), np.uint8)


def _over(above: Image, below: Image) -> Image:
    """RGBA over RGBA, alpha not premultiplied."""
    alpha, under = above[:, :, 3:] / 255, below[:, :, 3:] / 255
    total = alpha + under * (1 - alpha)
    colour = (above[:, :, :3] * alpha + below[:, :, :3] * under * (1 - alpha)) / np.maximum(total, 1e-6)
    return cast(Image, np.concatenate([colour, total * 255], axis=2).round().astype(np.uint8))
