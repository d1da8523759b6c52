"""PyAV: opens what FFmpeg can read and decodes its best video stream, surviving what is damaged in it."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import BinaryIO, Protocol

import av
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from vljepa_edge.errors import VideoError
from vljepa_edge.support.ending import keep_in_child
from vljepa_edge.video.frame import MAX_PIXELS, Picture, SourceStats
from vljepa_edge.video.orientation import Turn, exif_turn, matrix_turn
from vljepa_edge.video.packets import PacketRing
from vljepa_edge.video.timing import DecodingStamps, StampGuess

# FFmpeg draws text files as pictures with these.
_TEXT_ART = {"ansi", "bintext", "xbin", "idf"}
_WITH_EXIF = {"mjpeg", "png", "webp", "tiff"}
_USUAL_RATE = 25  # frames per second, where a container says nothing
_NO_TIMESTAMPS = 0x80  # FFmpeg's AVFMT_NOTIMESTAMPS
_RATE_UNKNOWN = {"mpjpeg"}  # formats whose stamps FFmpeg makes up from a rate that nobody told it
# Reading goes on after damage in the container until so many reads in a row gave nothing.
_MAX_FAILED_READS = 50


class Readable(Protocol):
    """What is read from beginning to end."""

    def read(self, size: int, /) -> bytes: ...


class Decoder:
    """One open container. Iterating gives (frame, stamp in seconds or None) in the order of showing.

    Raises VideoError, naming `name`, if it has no video and, while iterating, if `live` and the connection is lost, or
    if packets come for `timeout` seconds but no frame, or none at all where `why_empty` says why; FFmpegError if it
    can't be opened. Counts frames and damage in `stats`.
    """

    def __init__(
        self,
        name: str,
        url: str | BinaryIO | Readable,
        stats: SourceStats,
        *,
        options: Mapping[str, str],
        container_format: str | None = None,
        live: bool = False,
        timeout: float | None = None,
        threads: int = 0,
    ) -> None:
        """url: or an open file, best one that seeks. threads: of FFmpeg's decoder, 0 for as many as there are cores."""
        self._name = name
        self._stats = stats
        self._live = live
        self._timeout = timeout
        self.why_empty: str | None = None  # no frame of it can be decoded, as far as that is known
        limits = {"max_pixels": str(MAX_PIXELS)}
        self._container = av.open(
            url,
            "r",
            format=container_format,
            options={**options, **limits},
            metadata_errors="replace",  # a title in another encoding does not make a video unreadable
            timeout=timeout,
        )
        try:
            self._stream = self._choose()
            if not self._stream.width * self._stream.height:  # FFmpeg tells nothing of a size that it refuses
                self.why_empty = f"no frame in it can be decoded: damaged, or larger than {MAX_PIXELS} pixels"
            context = self._stream.codec_context
            context.options = limits
            ratio = self._stream.sample_aspect_ratio
            self._aspect = float(ratio) if ratio and Fraction(1, 4) <= ratio <= 4 else 1.0
            self._exif: Turn | None = None
            self._ring: PacketRing | None = None
            self._turns: dict[int, Turn] = {}  # by angle: to look into each frame's side data costs memory
            # Frame threads are fast but hold frames back; a live picture must come out as soon as it is in.
            context.thread_type = "SLICE" if live else "AUTO"
            context.thread_count = threads
            if live:
                context.flags |= av.codec.context.Flags.low_delay
        except BaseException:
            self._container.close()
            raise
        keep_in_child(self)  # the threads of FFmpeg's decoders are not there

    @property
    def format(self) -> str:
        """FFmpeg's name of the container, or several names, with commas between."""
        return str(self._container.format.name)

    @property
    def interval(self) -> float:
        """Seconds between frames, as far as the container says."""
        return float(1 / (self._stream.average_rate or self._stream.guessed_rate or _USUAL_RATE))

    def record(self, ring: PacketRing) -> None:
        """Keep the packets that are read in a ring. Raises VideoError for what gives none that a clip can be cut of."""
        container = self.format
        if self._stream.codec_context.name == "rawvideo":
            reason = "it gives raw pictures, and --record copies encoded video"
        elif container == "avi":
            reason = "AVI says nothing of when frames are shown; convert it to .mp4 or .mkv"
        elif container == "image2" or container.endswith("_pipe"):
            reason = "it is a picture"
        else:
            self._ring = ring
            ring.begin(self._stream)
            return
        raise VideoError(self._name, f"can't be recorded: {reason}")

    def picture(self, frame: av.VideoFrame, time: float) -> Picture:
        """A frame of this container with how it is to be shown."""
        if self._ring is not None and frame.pts is not None:
            self._ring.placed(frame.pts, time)
        if self._exif is not None:
            return Picture(frame, time, self._aspect, self._exif)
        rotation = frame.rotation
        if rotation not in self._turns:
            self._turns[rotation] = matrix_turn(frame)
        return Picture(frame, time, self._aspect, self._turns[rotation])

    @property
    def has_end(self) -> bool:
        """Whether it is known to end: its header says how long it is, or it is a photo."""
        return bool(self._container.duration) or self.format.endswith("_pipe")

    @property
    def start(self) -> float | None:
        """The stamp, in seconds, with which the container begins; None if it does not say or was running before."""
        start = self._container.start_time
        if start is None or self._live:
            return None
        first, time_base = self._stream.start_time, self._stream.time_base
        if first is not None and time_base is not None and abs(first * time_base * av.time_base - start) < 1:
            return float(first * time_base)  # the same, not rounded to microseconds
        return start / av.time_base

    @property
    def duration(self) -> float | None:
        """Seconds from the beginning to the end that the header promises; None where it promises nothing."""
        stream, start = self._stream, self.start or 0.0
        first = start
        if stream.start_time is not None and stream.time_base is not None:
            first = float(stream.start_time * stream.time_base)
        promised = self._promised(first) - start
        return promised if promised > 0 else None

    def keyframe_before(self, seconds: float) -> float | None:
        """The last second up to `seconds` from which decoding can begin, as far as the container's index is loaded."""
        start, time_base, index = self.start, self._stream.time_base, self._stream.index_entries
        if start is None or time_base is None:
            return None
        number = index.search_timestamp(math.floor((seconds + start) / time_base))
        return float(index[number].timestamp * time_base) - start if number >= 0 else None

    def seek(self, seconds: float) -> bool:
        """Goes on from a picture that decodes by itself, at or before `seconds` after the beginning as far as the
        container's index is right. Returns whether it did: not where there are no stamps to find it by.

        An iterator from before is of no use then.
        """
        start, time_base = self.start, self._stream.time_base
        if start is None or time_base is None or self._container.format.flags & _NO_TIMESTAMPS:
            return False
        try:
            self._container.seek(math.floor((seconds + start) / time_base), stream=self._stream)
        except FFmpegError:
            return False
        return True

    def close(self) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[tuple[av.VideoFrame, float | None]]:
        guess = DecodingStamps() if self.format == "avi" else StampGuess()
        seen = time.monotonic()
        begin, end = math.inf, -math.inf  # seconds, by the stamps
        for number, packet in enumerate(self._packets()):
            if number == 0 and self._stream.codec_context.name in _WITH_EXIF:
                self._exif = exif_turn(bytes(packet))
            self._stats.corrupt += packet.is_corrupt
            if self._ring is not None:
                self._ring.put(packet)
            if isinstance(guess, DecodingStamps):
                guess.sent(packet.pts, packet.dts)
            try:
                frames = self._stream.decode(packet)
            except FFmpegError:
                self._stats.corrupt += 1
                frames = []
            for frame in frames:
                self._stats.frames_decoded += 1
                self._stats.corrupt += frame.is_corrupt
                stamp = guess(frame.pts, frame.dts)
                time_base = frame.time_base or self._stream.time_base
                if stamp is None or time_base is None or self.format in _RATE_UNKNOWN:
                    yield frame, None
                    continue
                at = float(stamp * time_base)
                begin, end = min(begin, at), max(end, at + (float(frame.duration * time_base) or self.interval))
                yield frame, at
            if frames:
                seen = time.monotonic()
            elif self._timeout is not None and time.monotonic() - seen > self._timeout:
                raise VideoError(self._name, f"no frame in what came for {self._timeout:g} s")

        if self._stats.frames_decoded == 0 and self.why_empty is not None and not self._live:
            raise VideoError(self._name, self.why_empty)
        if end > begin and not self._live:
            self._stats.missing = self._missing(begin, end)

    def _missing(self, begin: float, end: float) -> float:
        """Seconds between the end that the header promises and `end`; 0 where it is little, or nothing is promised."""
        promised = self._promised(begin)
        missing = promised - end
        return missing if missing > max(0.5, 3 * self.interval, 0.01 * promised) else 0.0

    def _promised(self, begin: float) -> float:
        """The stamp at which the video ends by its header, 0 where that says nothing; `begin`: of the first frame."""
        stream, file = self._stream, self._container
        if self.format == "avi":  # FFmpeg's duration of an AVI that was cut off is that of its data
            return begin + stream.frames * self.interval
        if stream.duration is not None and stream.time_base is not None:
            return begin + float(stream.duration * stream.time_base)
        if written := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
            hours, minutes, seconds = written.groups()  # of Matroska
            return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        if file.duration is not None and len(file.streams) == 1:
            return file.duration / av.time_base
        return 0.0

    def _packets(self) -> Iterator[av.Packet[VideoStream]]:
        failed = 0
        while failed <= _MAX_FAILED_READS:
            try:
                for packet in self._container.demux(self._stream):
                    failed = 0
                    yield packet
                return
            except FFmpegError as error:
                lost = (error.strerror or "no data came") if self._live else None
            except IndexError:  # PyAV's, for a packet of a stream that the header does not have
                lost = None
            if lost is not None:  # not in the handler: FFmpeg's error has the URL with its password
                raise VideoError(self._name, lost)
            self._stats.corrupt += 1
            failed += 1

    def _choose(self) -> VideoStream:
        stream = self._container.streams.best("video")
        pictures = sum(bool(s.disposition & Disposition.attached_pic) for s in self._container.streams.video)
        if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
            raise VideoError(self._name, f"no video stream ({_inventory(self._container, pictures)})")
        if stream.codec_context is None:
            raise VideoError(self._name, _no_decoder(self.format.removesuffix("_pipe")))
        if stream.codec_context.name in _TEXT_ART:
            raise VideoError(self._name, "a text file; it must be a video or image file")
        if stream.width * stream.height > MAX_PIXELS:
            size = f"{stream.width} x {stream.height}"
            raise VideoError(self._name, f"frames of {size} are too large; they must have at most {MAX_PIXELS} pixels")
        return stream


def _no_decoder(kind: str) -> str:
    others = "convert it to H.264, H.265, VP9 or AV1, or a picture to PNG or JPEG"
    return f"no decoder for its video stream (format {kind}); {others}"


def _inventory(container: av.container.InputContainer, pictures: int) -> str:
    counts = Counter(f"{stream.type} stream" for stream in container.streams)
    counts["video stream"] -= pictures
    counts["cover picture"] = pictures
    parts = [f"{count} {kind}{'s' * (count > 1)}" for kind, count in counts.items() if count > 0]
    return ", ".join(parts) or "nothing in it"
