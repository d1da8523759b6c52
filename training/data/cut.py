"""A stretch of a video as a file of its own, without a frame decoded or encoded again."""

from __future__ import annotations

import math
from io import BytesIO
from typing import BinaryIO, NamedTuple

import av
import numpy as np
from av.error import FFmpegError
from av.video.stream import VideoStream

from vljepa_edge.errors import VideoError
from vljepa_edge.video.frame import SourceStats
from vljepa_edge.video.recorded import open_object
from vljepa_edge.video.stretch import FramePlan, read_frames

# By FFmpeg's name of what is read: its name of what is written, and the suffix.
_CONTAINERS = {
    "mov,mp4,m4a,3gp,3g2,mj2": ("mp4", ".mp4"),
    "matroska,webm": ("matroska", ".mkv"),
    "mpegts": ("mpegts", ".ts"),
}
_WORTH = 0.8  # of the video: where more is kept, all is
_AROUND = 0.5  # seconds before and after, for indices that are not exact and frames that come out of order
_PROBE = FramePlan(count=6, width=48, height=48)


class Part(NamedTuple):
    """A file, and where in it the stretch is."""

    data: bytes
    suffix: str
    start: float | None
    end: float | None


def cut_out(file: BinaryIO, name: str, start: float | None, end: float | None) -> Part | None:
    """The packets of a stretch, from the picture before it that decodes by itself, in the same container.

    None where that is not worth it, or can't be done so that the frames stay the same: what comes out is decoded and
    compared. Raises VideoError for a video that can't be read.
    """
    decoder = open_object(name, file, SourceStats())
    begin, duration = decoder.start, decoder.duration
    decoder.close()
    if begin is None or duration is None or (start is None and end is None):
        return None
    first, last = start or 0.0, duration if end is None else min(end, duration)
    if last - first >= _WORTH * duration:
        return None
    try:
        part = _packets(file, begin, first, last)
    except (FFmpegError, ValueError):
        return None
    if part is None or not _same(file, name, start, end, part):
        return None
    return part


def _packets(file: BinaryIO, begin: float, first: float, last: float) -> Part | None:
    file.seek(0)
    sink = BytesIO()
    with av.open(file, "r", metadata_errors="replace") as source:
        container = _CONTAINERS.get(source.format.name)
        stream = source.streams.best("video")
        if container is None or not isinstance(stream, VideoStream) or stream.time_base is None:
            return None
        time_base = stream.time_base
        source.seek(math.floor((max(0.0, first - _AROUND) + begin) / time_base), stream=stream)
        shift: int | None = None
        with av.open(sink, "w", format=container[0]) as target:
            out = target.add_stream_from_template(stream)
            for packet in source.demux(stream):
                if packet.size == 0:  # what ends a stream
                    continue
                if packet.dts is None or packet.pts is None:  # Matroska with B-frames: nothing says when to decode
                    return None
                if shift is None:
                    shift = packet.pts
                if packet.dts * time_base - begin > last + _AROUND:
                    break
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, out
                target.mux(packet)
        if shift is None:
            return None
    moved = float(shift * time_base) - begin
    if moved > first:
        return None
    return Part(sink.getvalue(), container[1], first - moved, last - moved)


def _same(file: BinaryIO, name: str, start: float | None, end: float | None, part: Part) -> bool:
    whole = read_frames(file, _PROBE, start, end, name=name)
    try:
        cut = read_frames(BytesIO(part.data), _PROBE, part.start, part.end, name=name)
    except VideoError:
        return False
    return np.array_equal(whole, cut)
