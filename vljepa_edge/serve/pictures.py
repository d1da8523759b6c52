"""Small pictures of what a stream saw: the newest frame, and those that its next events may be about."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

_LONGEST_SIDE = 640  # pixels of a picture; a page shows it, nobody measures in it
_QUALITY = {"qmin": "4", "qmax": "6"}  # libavcodec's quantiser, 2 is the best


class Small(NamedTuple):
    """A frame, scaled for a picture, and its time in seconds."""

    frame: av.VideoFrame
    time: float


def shrink(image: NDArray[np.uint8]) -> av.VideoFrame:
    """A uint8 RGB image (height, width, 3) as JPEG's YUV, its longer side at most 640 pixels."""
    height, width = image.shape[:2]
    ratio = min(1.0, _LONGEST_SIDE / max(height, width))
    full = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    across, down = (max(2, round(side * ratio / 2) * 2) for side in (width, height))  # chroma has half of the pixels
    return full.reformat(across, down, "yuvj420p", interpolation="AREA")


def encode_jpeg(frame: av.VideoFrame) -> bytes:
    """A JPEG file of what `shrink` gave."""
    codec = av.CodecContext.create("mjpeg", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, "yuvj420p"
    codec.time_base = Fraction(1, 25)
    codec.thread_count = 1
    codec.options = dict(_QUALITY)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None)))


class Tap:
    """Keeps the newest frame of a stream, and of the last few seconds one small picture each `period` seconds.

    One thread puts; any thread may ask. A JPEG of the newest frame is made when it is asked for, once.
    """

    def __init__(self, period: float, kept: int) -> None:
        self._period = period
        self._lock = threading.Lock()
        self._encoding = threading.Lock()
        self._newest: tuple[NDArray[np.uint8], float] | None = None
        self._number = 0
        self._made = (0, b"")  # a number, and the JPEG of that frame
        self._recent: deque[Small] = deque(maxlen=kept)

    @property
    def number(self) -> int:
        """Counts the frames; 0 before the first."""
        return self._number

    def put(self, image: NDArray[np.uint8], time: float) -> None:
        """A frame (height, width, 3) came. Nobody may change it afterwards."""
        due = not self._recent or not self._recent[-1].time <= time < self._recent[-1].time + 0.99 * self._period
        small = Small(shrink(image), time) if due else None
        with self._lock:
            self._newest = (image, time)
            self._number += 1
            if small is not None:
                self._recent.append(small)

    def near(self, time: float) -> bytes | None:
        """A JPEG of the kept frame that is nearest to `time`; None before the first frame."""
        with self._lock:
            small = min(self._recent, key=lambda item: abs(item.time - time), default=None)
        if small is None:
            return None
        with self._encoding:  # which stamps the frame
            return encode_jpeg(small.frame)

    def newest(self) -> tuple[int, bytes] | None:
        """The number of the newest frame and a JPEG of it; None before the first frame."""
        with self._encoding:
            with self._lock:
                number, newest = self._number, self._newest
            if newest is None:
                return None
            if self._made[0] != number:
                self._made = (number, encode_jpeg(shrink(newest[0])))
            return self._made


class PictureRing:
    """The JPEGs of the newest events, by the events' ids. Any thread may call it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def put(self, number: int, picture: bytes) -> None:
        """Keep a picture; the oldest makes way."""
        with self._lock:
            self._kept[number] = picture
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def get(self, number: int) -> bytes | None:
        """The picture of an event, if it is still kept."""
        with self._lock:
            return self._kept.get(number)
