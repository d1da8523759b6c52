"""The frames of a stretch of a video, or of an image: a clip for a model to see.

They are decoded, turned, coloured and scaled by the runtime's own code. Which frame is due at a time: the first one at
or after it, as in the runtime's grid, or, where the stretch has none, the one that is on show then.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from av import VideoFrame
from av.error import FFmpegError
from numpy.typing import NDArray

from vljepa_edge._core import ROUNDING
from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.video.decoder import Decoder
from vljepa_edge.video.frame import Image, Picture, Pictures, SourceStats
from vljepa_edge.video.preprocess import ResizeMode, Scaler, check_fit
from vljepa_edge.video.readable import readable
from vljepa_edge.video.recorded import File, decoded, open_file, open_object
from vljepa_edge.video.timing import Timeline, without_wild

Media: TypeAlias = str | Path | BinaryIO

_WORTH = 2.0  # seconds: a shorter way is decoded rather than sought
_MARGIN = 0.25  # seconds before a due time that are sought: indices go by decoding times, which are a few frames early


@dataclass(frozen=True)
class FramePlan:
    """Which frames of a stretch are taken and what is made of them, by the runtime's own preprocessing.

    count: frames of a clip. rate: frames a second, taken from a stretch of count / rate seconds; None: evenly over the
    complete stretch. width, height, resize: as in a bundle's manifest (`cover` or `stretch`).
    """

    count: int
    width: int
    height: int
    resize: str = "cover"
    rate: float | None = None


def check_plan(plan: FramePlan) -> None:
    """Raises InputError for a plan that no video can be read by."""
    check_fit((plan.width, plan.height), plan.resize)
    if plan.count < 1:
        raise InputError(f"a clip must have at least 1 frame, got {plan.count}")
    if plan.rate is not None and not (math.isfinite(plan.rate) and plan.rate > 0):
        raise InputError(f"the rate of frames must be a number above 0, got {plan.rate}")


def due_times(plan: FramePlan, start: float, end: float, where: float = 0.5) -> list[float]:
    """When the frames of a clip from [start, end] are due, `plan.count` seconds in rising order.

    Without a rate: in the middle of each of `count` equal parts. With one: every 1 / rate seconds from the beginning of
    a stretch of count / rate seconds, which is `where`, from 0 to 1, between the first such and the last. Where all is
    shorter than that its first frame comes again in front, as in the runtime's window.
    """
    if plan.rate is None:
        return [start + (k + 0.5) * (end - start) / plan.count for k in range(plan.count)]
    begin = start + where * max(0.0, end - start - plan.count / plan.rate)
    held = math.ceil((end - begin) * plan.rate - 1e-6)
    held = max(1, min(plan.count, held))
    return [begin] * (plan.count - held) + [begin + k / plan.rate for k in range(held)]


def read_frames(
    media: Media,
    plan: FramePlan,
    start: float | None = None,
    end: float | None = None,
    where: float = 0.5,
    *,
    name: str | None = None,
    threads: int = 1,
) -> NDArray[np.uint8]:
    """The frames of a clip, uint8 RGB (count, height, width, 3), of a video or photo.

    media: a path, or a file object that can seek and stays open; name: what errors call it. start, end: seconds after
    the beginning of the video; an `end` behind the video's, which its header says, is the video's. An image is one
    frame, `count` times. A video without timestamps goes by the rate that it says it has. threads: of FFmpeg's decoder,
    0 for as many as there are cores.

    Raises InputError for a plan, a stretch or a `where` that is not allowed, VideoError for a file that can't be read,
    is over before the stretch begins, or has lost the frames at its end.
    """
    check_plan(plan)
    if not 0 <= where <= 1:
        raise InputError(f"where must be between 0 and 1, got {where}")
    for what, seconds in (("start", start), ("end", end)):
        if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
            raise InputError(f"the {what} of a stretch must be 0 seconds or more, got {seconds}")
    if start is not None and end is not None and start >= end:
        raise InputError(f"a stretch must end after it starts, got {start:g} to {end:g} s")
    reader = _Reader(media, plan, name, threads)
    with readable(reader.name):
        return reader.read(start, end, where)


def duration_of(media: Media, *, name: str | None = None) -> float:
    """Seconds from a video's beginning to its end. Decodes it only where its header doesn't say. Raises VideoError."""
    reader = _Reader(media, FramePlan(1, 1, 1), name, 1)
    with readable(reader.name):
        file = reader.open()
        promised = file.duration if isinstance(file, Decoder) else None
        if promised is not None:
            file.close()
            return promised
        return reader.measure(file)[0]


class _Reader:
    """Reads one medium, which may have to be opened more than once."""

    def __init__(self, media: Media, plan: FramePlan, name: str | None, threads: int) -> None:
        self._media = os.fspath(media) if isinstance(media, (str, Path)) else media
        self._plan = plan
        self._threads = threads
        self._scaler = Scaler()
        self._scaled: tuple[Picture, Image] | None = None
        self.name = name or (self._media if isinstance(self._media, str) else "a file object")

    def read(self, start: float | None, end: float | None, where: float) -> Image:
        file = self.open()
        duration = file.duration if isinstance(file, Decoder) else None
        if duration is None:
            duration, only = self.measure(file)
            if only is not None and not start:
                return np.stack([self._scale(only)] * self._plan.count)
            file = self.open()
        begin = start or 0.0
        stop = duration if end is None else min(end, duration)
        if begin >= stop:
            file.close()
            raise VideoError(self.name, f"is over after {duration:.2f} s, before the stretch from {begin:.2f} s")
        due = due_times(self._plan, begin, stop, where)
        found = self._frames(file, due, stop, seeks=True)
        if found is None:  # the container's index led behind a place
            found = self._frames(self.open(), due, stop, seeks=False)
            assert found is not None
        return np.stack(found)

    def open(self) -> File:
        if isinstance(self._media, str):
            return open_file(self._media, SourceStats(), self._threads)
        return open_object(self.name, self._media, SourceStats(), self._threads)

    def measure(self, file: File) -> tuple[float, Picture | None]:
        """How long a video is whose header doesn't say, and its frame if it has but one; closes it."""
        before, last, count, interval = 0.0, 0.0, 0, _interval(file)
        only: Picture | None = None
        for picture in decoded(file, SourceStats()):
            before, last, count = last, picture.time, count + 1
            only = picture if count == 1 else None
        if count == 0:
            raise VideoError(self.name, "no frames in it can be decoded")
        return last + (last - before if count > 1 else interval), only

    def _frames(self, file: File, due: Sequence[float], stop: float, seeks: bool) -> list[Image] | None:
        """The frame of each due time; None where seeking led behind one. Closes the file."""
        interval = _interval(file)
        taken: list[Image] = []
        held: Picture | None = None
        try:
            sought = seeks and _jumps(file, None, due[0])
            pictures = _pictures(file)
            while (picture := next(pictures, None)) is not None:
                if sought and picture.time > due[len(taken)]:
                    return None
                sought, before = False, len(taken)
                taken += self._at(picture, held, due[before:], stop)
                if len(taken) == len(due):
                    return taken
                held = picture
                if len(taken) > before and seeks and _jumps(file, picture.time, due[len(taken)]):
                    pictures, sought = _pictures(file), True
        finally:
            file.close()
        if sought:
            return None
        if held is None:
            raise VideoError(self.name, "no frames in it can be decoded")
        until = held.time + max(_shown_for(held), interval)
        if due[-1] > until + max(0.5, 3 * interval):
            raise VideoError(self.name, f"its frames end at {until:.2f} s: cut off, or damaged before {due[-1]:.2f} s")
        return [*taken, *(self._scale(held) for _ in due[len(taken) :])]

    def _at(self, picture: Picture, before: Picture | None, due: Sequence[float], stop: float) -> list[Image]:
        """The frames of those due times, the first of `due`, that `picture` is the first at or after."""
        rounding = ROUNDING if self._plan.rate is None else min(ROUNDING, 0.1 / self._plan.rate)
        if picture.time < due[0] - rounding:
            return []
        chosen = picture if before is None or picture.time < stop else before
        return [self._scale(chosen)] * sum(picture.time >= time - rounding for time in due)

    def _scale(self, picture: Picture) -> Image:
        if self._scaled is None or self._scaled[0] is not picture:
            size = self._plan.width, self._plan.height
            mode: ResizeMode = "stretch" if self._plan.resize == "stretch" else "cover"
            try:
                image = self._scaler.upright(picture, size, mode)
            except FFmpegError:
                raise VideoError(self.name, f"its frame at {picture.time:.2f} s can't be converted") from None
            self._scaled = picture, image
        return self._scaled[1]


def _pictures(file: File) -> Pictures:
    """The pictures from here on, as `decoded` gives them. The file stays open."""
    if not isinstance(file, Decoder):
        yield from file.pictures()
        return
    timeline = Timeline(SourceStats(), file.interval, file.start)
    for frame, stamp in without_wild(file):
        time = timeline.place(stamp)
        if time is not None:
            yield file.picture(frame, time)


def _jumps(file: File, now: float | None, due: float) -> bool:
    """Goes on shortly before a due time, where that is worth it from `now`, or from the beginning; whether it did."""
    if not isinstance(file, Decoder) or due - (now or 0.0) <= _WORTH:
        return False
    if now is not None:
        begins = file.keyframe_before(due - _MARGIN)
        if begins is None or begins - now <= _WORTH / 2:
            return False
    return file.seek(due - _MARGIN)


def _interval(file: File) -> float:
    return file.interval if isinstance(file, Decoder) else 0.04


def _shown_for(picture: Picture) -> float:
    """Seconds for which a frame says that it is on show."""
    frame = picture.pixels
    if not isinstance(frame, VideoFrame) or frame.time_base is None:
        return 0.0
    return float(frame.duration * frame.time_base)
