"""Encoded video as it came: the newest stretch of a source is kept, and cut into clips without encoding it again."""

from __future__ import annotations

import io
import math
import threading
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av
from av.video.stream import VideoStream

MOST_BYTES = 64_000_000  # of a source; where that is little, a clip begins later
_REORDERED = 5.0  # seconds by which a packet may be shown earlier than the one before it: more is a new beginning
_TICKS = 90_000  # a second, in clips: that of a source may be as coarse as 25
_FRAMES_AHEAD = 256
_IN_MP4 = {"h264", "hevc", "av1", "mpeg4", "mpeg2video", "vp9"}  # others go into Matroska, which takes all


class Packet(NamedTuple):
    """A packet, and when the frame in it is shown, in ticks of the stream."""

    data: av.Packet[VideoStream]
    pts: int
    keyframe: bool


class Shown(NamedTuple):
    """A packet of a cut, and when the frame in it is shown, in seconds of the source's clock."""

    packet: Packet
    time: float


class Template:
    """What a clip needs to know of the stream that its packets are of. It outlives the source."""

    def __init__(self, stream: VideoStream) -> None:
        self.codec = stream.codec_context.name
        self.time_base = stream.time_base or Fraction(1, 90_000)
        self._container = av.open(io.BytesIO(), "w", format="matroska")
        self.stream = self._container.add_stream_from_template(stream)

    @property
    def suffix(self) -> str:
        """Of a clip's file."""
        return ".mp4" if self.codec in _IN_MP4 else ".mkv"


class Cut(NamedTuple):
    """A stretch of a source, in the order in which it is decoded; the first packet is a keyframe."""

    template: Template
    packets: list[Shown]

    @property
    def start(self) -> float:
        """Time of the first frame, in seconds of the source's clock."""
        return self.packets[0].time

    @property
    def end(self) -> float:
        """Time of the last frame."""
        return max(shown.time for shown in self.packets)

    def write(self, path: Path) -> None:
        """Write it to a file, whose suffix says its format; second 0 is `start`. Raises OSError and FFmpegError."""
        pts = _rising([round((shown.time - self.start) * _TICKS) for shown in self.packets])
        # A frame is decoded when its turn has come, and that must not be after it is shown.
        turns = sorted(pts)
        delay = max(turn - shown for turn, shown in zip(turns, pts, strict=True))
        with av.open(str(path), "w") as container:
            stream = container.add_stream_from_template(self.template.stream)
            stream.time_base = Fraction(1, _TICKS)
            for (packet, _), shown, turn in zip(self.packets, pts, turns, strict=True):
                copied = av.Packet(bytes(packet.data))
                copied.stream, copied.time_base = stream, Fraction(1, _TICKS)
                copied.pts, copied.dts = shown, turn - delay
                copied.duration = round((packet.data.duration or 0) * self.template.time_base * _TICKS)
                copied.is_keyframe = packet.keyframe
                container.mux(copied)


def _rising(ticks: list[int]) -> list[int]:
    """No two are equal: a later one is moved by a tick where they are."""
    moved, last = list(ticks), -1
    for index in sorted(range(len(ticks)), key=lambda index: ticks[index]):
        last = moved[index] = max(ticks[index], last + 1)
    return moved


class PacketRing:
    """The packets of the last `seconds` of a source, from a keyframe on. One thread fills it; any may cut.

    A new beginning, as after a lost connection or where stamps leap, empties it; `lost` is called before.
    """

    def __init__(self, seconds: float, lost: Callable[[], object] = lambda: None) -> None:
        self._seconds = seconds
        self._lost = lost
        self._lock = threading.Lock()
        self._template: Template | None = None
        self._packets: deque[Packet] = deque()
        self._bytes = 0
        self._shift: float | None = None  # time minus stamp, of the newest frame
        self._newest = -math.inf
        self._times: dict[int, float] = {}  # by stamp, of the frames that were decoded
        self._last = 0  # stamp of the newest packet
        self._held = math.inf

    @property
    def newest(self) -> float:
        """Time of the newest frame that was decoded, -inf before the first."""
        return self._newest

    def hold(self, since: float) -> None:
        """Keep what is shown from this time on, as far as there is room; math.inf: no more than usual."""
        with self._lock:
            self._held = since

    def begin(self, stream: VideoStream) -> None:
        """The packets of another connection follow."""
        template = Template(stream)
        self._lost()
        with self._lock:
            self._clear()
            self._template = template

    def put(self, packet: av.Packet[VideoStream]) -> None:
        """A packet came."""
        if packet.pts is None or not packet.size:
            return
        step = 0.0 if self._template is None or not self._packets else self._seconds_of(packet.pts - self._last)
        leaps = not -_REORDERED <= step <= self._seconds
        if leaps:
            self._lost()
        with self._lock:
            if leaps:
                self._clear()
            if not self._packets and not packet.is_keyframe:
                return
            self._last = packet.pts
            self._packets.append(Packet(packet, packet.pts, packet.is_keyframe))
            self._bytes += packet.size
            if packet.is_keyframe:
                self._trim()
            if self._bytes > MOST_BYTES:
                self._drop_group()

    def placed(self, pts: int, time: float) -> None:
        """The frame with this stamp is shown at this time of the source's clock."""
        with self._lock:
            self._times[pts] = time
            if len(self._times) > 2 * len(self._packets) + _FRAMES_AHEAD:  # of packets that were not kept
                known = {packet.pts for packet in self._packets}
                self._times = {stamp: at for stamp, at in self._times.items() if stamp in known}
            self._shift = time - self._seconds_of(pts)
            self._newest = time

    def cut(self, start: float, end: float) -> Cut | None:
        """From the last keyframe up to `start`, or the first that is there, to the last frame up to `end`; None where
        there is nothing."""
        with self._lock:
            template = self._template
            if template is None or self._shift is None:
                return None
            packets = [Shown(packet, self._time_of(packet)) for packet in self._packets]
            slack = 0.5 * self._seconds_of(packets[0].packet.data.duration or 0) if packets else 0.0
            stop = max((index for index, shown in enumerate(packets, 1) if shown.time <= end + slack), default=0)
            keys = [index for index in range(stop) if packets[index].packet.keyframe]
            if not keys:
                return None
            first = max((index for index in keys if packets[index].time <= start + slack), default=keys[0])
            # What comes after the keyframe and is shown before it can't be decoded without what is left out.
            chosen = [shown for shown in packets[first:stop] if shown.time >= packets[first].time]
            return Cut(template, chosen)

    def _trim(self) -> None:
        """Forget groups of pictures that are older than what is kept."""
        if self._shift is None:
            return
        oldest = min(self._newest - self._seconds, self._held)
        while (following := self._next_keyframe()) is not None:
            if self._time_of(self._packets[following]) > oldest:
                return
            self._drop(following)

    def _drop_group(self) -> None:
        following = self._next_keyframe()
        self._drop(len(self._packets) if following is None else following)

    def _next_keyframe(self) -> int | None:
        return next((i for i, packet in enumerate(islice(self._packets, 1, None), 1) if packet.keyframe), None)

    def _drop(self, count: int) -> None:
        for _ in range(count):
            packet = self._packets.popleft()
            self._bytes -= packet.data.size
            self._times.pop(packet.pts, None)

    def _clear(self) -> None:
        self._packets.clear()
        self._times.clear()
        self._bytes = 0
        self._shift = None

    def _time_of(self, packet: Packet) -> float:
        """When it is shown; of one that is not decoded yet, by the newest frame that was."""
        return self._times.get(packet.pts, self._seconds_of(packet.pts) + (self._shift or 0.0))

    def _seconds_of(self, ticks: int) -> float:
        assert self._template is not None
        return float(ticks * self._template.time_base)
