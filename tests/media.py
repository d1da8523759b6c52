"""Writes small test media with PyAV. A frame is one flat colour that encodes its number, so any frame can be named."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.stream import Disposition
from numpy.typing import NDArray

_LEVELS, _STEP = 6, 50
_TICKS = 1000  # a second


def colour(number: int) -> tuple[int, int, int]:
    """The colour of frame `number`, 0 to 215: far enough from all others to survive a lossy codec."""
    return (
        number % _LEVELS * _STEP,
        number // _LEVELS % _LEVELS * _STEP,
        number // _LEVELS**2 % _LEVELS * _STEP,
    )


def number_of(image: NDArray[np.uint8]) -> int:
    """The number of the frame that `image` shows, read from its middle."""
    red, green, blue = (round(int(value) / _STEP) for value in image[image.shape[0] // 2, image.shape[1] // 2])
    return red + green * _LEVELS + blue * _LEVELS**2


def flat(number: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """Frame `number` as uint8 RGB (height, width, 3)."""
    return np.full((height, width, 3), colour(number), np.uint8)


def write_video(
    path: Path,
    images: Sequence[NDArray[np.uint8]] | int = 10,
    *,
    fps: int = 10,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    mirrored: bool = False,
    aspect: Fraction | None = None,
    audio: float = 0.0,
    title: str | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """A video of `images` (or of that many numbered flat ones) at `fps`, or at `times` in seconds. Returns `path`.

    rotation: counter-clockwise degrees by which a player has to turn it; mirrored: and then flip left and right;
    audio: seconds of silence beside it.
    """
    frames = [flat(number) for number in range(images)] if isinstance(images, int) else images
    stamps = [number / fps for number in range(len(frames))] if times is None else times
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        if title is not None:
            container.metadata["title"] = title
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.height, stream.width = frames[0].shape[:2] if frames else (48, 64)
        stream.pix_fmt = pix_fmt
        if times is not None:
            stream.codec_context.time_base = Fraction(1, _TICKS)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation or mirrored:
            stream.set_display_rotation(rotation, hflip=mirrored)
        sound = container.add_stream("aac", rate=8000) if audio else None
        container.start_encoding()
        for image, time in zip(frames, stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time * _TICKS), Fraction(1, _TICKS)
            container.mux(stream.encode(frame))
        if frames:
            container.mux(stream.encode())
        if sound is not None:
            _silence(container, sound, seconds=audio)
    return path


def write_audio(path: Path, *, cover: bool = False) -> Path:
    """A second of silence as .wav, .m4a or .mp3; .mp3 can have a cover picture."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream({".mp3": "libmp3lame", ".wav": "pcm_s16le"}.get(path.suffix, "aac"), rate=8000)
        if cover:
            picture = container.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
            picture.disposition = Disposition.attached_pic
            container.mux(picture.encode(av.VideoFrame.from_ndarray(flat(5), format="rgb24")))
            container.mux(picture.encode())
        _silence(container, sound, seconds=1.0)
    return path


def write_png(path: Path, width: int, height: int, *, honest: bool = True) -> Path:
    """A black RGB PNG; one that is not `honest` declares its size and brings almost no pixels."""
    rows = (b"\0" + b"\0" * 3 * width) * height if honest else b"\0" * 100

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def cut(path: Path, share: float) -> Path:
    """Truncates a file to this share of its bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def blank_jpeg(path: Path, number: int) -> Path:
    """Overwrites the data of one frame of an MJPEG file with zeros."""
    data = bytearray(path.read_bytes())
    starts = []
    at = data.find(b"\xff\xd8\xff")
    while at >= 0:
        starts.append(at)
        at = data.find(b"\xff\xd8\xff", at + 3)
    end = data.find(b"\xff\xd9", starts[number])
    data[starts[number] : end] = bytes(end - starts[number])
    path.write_bytes(data)
    return path


def _silence(container: av.container.OutputContainer, stream: AudioStream, seconds: float) -> None:
    samples = 1024
    for number in range(int(seconds * 8000 / samples)):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, samples), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, number * samples, Fraction(1, 8000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
