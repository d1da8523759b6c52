"""A video file with captions in the picture: decoded, drawn into and encoded by PyAV, its sound copied."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.audio.stream import AudioStream
from av.error import FFmpegError
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from vljepa_edge.errors import InputError, VideoError, redacted
from vljepa_edge.sinks.captions import Cue
from vljepa_edge.sinks.lettering import Lettering
from vljepa_edge.video.decoder import Decoder
from vljepa_edge.video.frame import Picture, Pictures, SourceStats
from vljepa_edge.video.inputs import file_path, is_live
from vljepa_edge.video.preprocess import Scaler
from vljepa_edge.video.readable import readable
from vljepa_edge.video.recorded import decoded, open_file
from vljepa_edge.video.ros.bag import is_bag

_TICKS = 60_000  # a second: the usual frame rates, those of NTSC too, divide it, and MPEG-4 takes no more than 65,535
_RATE = 25  # frames a second, where a file says nothing; for the encoder's estimates only
_ENCODERS = ("libx264", "mpeg4")  # FFmpeg always has the second one
_OPTIONS = {"libx264": {"preset": "veryfast", "crf": "20"}, "mpeg4": {"qscale": "4"}}
_COPIED = ("aac", "mp3", "ac3", "eac3", "alac", "flac", "opus")  # what players read in an .mp4 file
_BT709 = 1  # in the tables of ITU-T H.273
_LIMITED = 1  # FFmpeg's AVCOL_RANGE_MPEG


def check_burnable(source: str) -> str | None:
    """Raises InputError for what is no file, and VideoError for a file that is no video. Returns what is left out of a
    copy: the name of the codec of a sound that an .mp4 file can't hold."""
    if is_live(source):
        raise InputError(
            f"captions can be drawn into a video file, not into a live source, got {redacted(source)}; "
            "name a file, or another --out"
        )
    path = file_path(source)
    if is_bag(path):
        raise InputError(f"captions can be drawn into a video file, not into a bag, got {redacted(source)}")
    with readable(redacted(source)):
        open_file(path, SourceStats()).close()
    with _open(path) as container:
        sound = _best_sound(container)
        return None if sound is None or sound.codec_context.name in _COPIED else sound.codec_context.name


def burn_captions(
    source: str, cues: Sequence[Cue], out: Path, report: Callable[[int, int], object] | None = None
) -> None:
    """Write `out`, an .mp4 file: the frames of a file, upright, with square pixels and at their times, cues in them.

    cues: in the order of time. The best of its sounds is copied as it is where .mp4 has its codec. report: called with
    the seconds that are done and those that there are. Raises VideoError when the source can't be read, OSError when
    `out` can't be written.
    """
    name, path, stats = redacted(source), file_path(source), SourceStats()
    with readable(name):
        file = open_file(path, stats)
        start, duration, rate = 0.0, None, float(_RATE)
        if isinstance(file, Decoder):
            start, duration, rate = file.start or 0.0, file.duration, 1 / file.interval
    with contextlib.closing(_read(name, decoded(file, stats))) as pictures, _open(path) as sounds:
        first = next(pictures, None)
        if first is None:
            raise VideoError(name, "no frames in it")
        try:
            with av.open(str(out), "w", format="mp4") as container:
                _write(container, first, pictures, cues, _Sound(sounds, start, container), rate, duration, report)
        except FFmpegError as error:
            raise OSError(error.errno, error.strerror) from error


def _write(
    container: av.container.OutputContainer,
    first: Picture,
    others: Iterator[Picture],
    cues: Sequence[Cue],
    sound: _Sound,
    rate: float,
    duration: float | None,
    report: Callable[[int, int], object] | None,
) -> None:
    size = _shown_size(first)
    stream = _video_stream(container, size, rate)
    scaler, lettering = Scaler(), Lettering(*size)
    pts, number = -1, 0
    for picture in _chained(first, others):
        image = scaler.upright(picture, size, "stretch")
        milliseconds = 1000 * picture.time
        while number < len(cues) and cues[number].end <= milliseconds:
            number += 1
        if number < len(cues) and cues[number].start <= milliseconds:
            lettering.onto(image, cues[number].lines)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709
        )
        pts = max(pts + 1, round(picture.time * _TICKS))
        frame.pts, frame.time_base = pts, Fraction(1, _TICKS)
        sound.copy_until(picture.time)
        container.mux(stream.encode(frame))
        if report is not None and duration is not None:
            report(min(int(picture.time), int(duration)), int(duration))
    container.mux(stream.encode())
    sound.copy_until(float("inf"))


def _video_stream(container: av.container.OutputContainer, size: tuple[int, int], rate: float) -> VideoStream:
    codec = next(name for name in _ENCODERS if name in av.codecs_available)
    stream = cast(VideoStream, container.add_stream(codec, rate=Fraction(rate).limit_denominator(1001)))
    context = stream.codec_context
    context.width, context.height = size
    context.pix_fmt = "yuv420p"
    context.time_base = Fraction(1, _TICKS)
    context.options = _OPTIONS[codec]
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED
    return stream


class _Sound:
    """The best sound of a file, copied packet by packet, its times counted from second `start` of the file."""

    def __init__(
        self, source: av.container.InputContainer, start: float, container: av.container.OutputContainer
    ) -> None:
        sound = _best_sound(source)
        self._packets: Iterator[av.Packet[AudioStream]] = iter(())
        self._container = container
        self._waits: av.Packet[AudioStream] | None = None
        if sound is not None and sound.codec_context.name in _COPIED:
            self._packets = _shifted(source, sound, container.add_stream_from_template(sound), start)

    def copy_until(self, time: float) -> None:
        """Write the packets up to second `time`: a file is read best where sound and pictures lie side by side."""
        while True:
            packet = self._waits or next(self._packets, None)
            self._waits = packet
            if packet is None or _seconds(packet) > time:
                return
            self._waits = None
            self._container.mux(packet)


def _shifted(
    source: av.container.InputContainer, sound: AudioStream, target: AudioStream, start: float
) -> Iterator[av.Packet[AudioStream]]:
    """The packets of a sound for another file, in rising time; up to where the file is damaged."""
    newest = None
    with contextlib.suppress(FFmpegError):
        for packet in source.demux(sound):
            if packet.dts is None or packet.time_base is None or (newest is not None and packet.dts <= newest):
                continue
            newest = packet.dts
            shift = round(start / packet.time_base)
            packet.pts = (packet.dts if packet.pts is None else packet.pts) - shift
            packet.dts -= shift
            packet.stream = target
            yield packet


def _seconds(packet: av.Packet[AudioStream]) -> float:
    return float((packet.dts or 0) * (packet.time_base or 0))


def _best_sound(container: av.container.InputContainer) -> AudioStream | None:
    return cast("AudioStream | None", container.streams.best("audio"))


def _open(path: str) -> av.container.InputContainer:
    """A second look at a file that has been opened as a video: for its sound."""
    return av.open(f"file:{Path(path).absolute()}", "r", metadata_errors="replace")


def _read(name: str, pictures: Pictures) -> Pictures:
    with readable(name), contextlib.closing(pictures):
        yield from pictures


def _chained(first: Picture, others: Iterator[Picture]) -> Iterator[Picture]:
    yield first
    yield from others


def _shown_size(picture: Picture) -> tuple[int, int]:
    """Width and height of a picture as it is shown, both even, as the encoder wants them."""
    if isinstance(picture.pixels, av.VideoFrame):
        width, height = round(picture.pixels.width * picture.aspect), picture.pixels.height
    else:
        height, width = picture.pixels.shape[:2]
    if picture.turn.transposed:
        width, height = height, width
    return max(2, width // 2 * 2), max(2, height // 2 * 2)
