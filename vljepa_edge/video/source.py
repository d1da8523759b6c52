"""One way to open them all: files, photos, cameras, RTSP URLs and arrays become an iterator of frames."""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError, VideoError, VideoWarning
from vljepa_edge.support.arguments import shown
from vljepa_edge.support.ending import when_dropped
from vljepa_edge.video import live as alive
from vljepa_edge.video import preprocess
from vljepa_edge.video.ahead import AheadReader
from vljepa_edge.video.frame import Frame, SourceStats
from vljepa_edge.video.inputs import Asked, open_input
from vljepa_edge.video.packets import PacketRing
from vljepa_edge.video.preprocess import ResizeMode
from vljepa_edge.video.readable import read_all
from vljepa_edge.video.recording import Recording
from vljepa_edge.video.scaled import Scaled, sampled

_Array = NDArray[np.uint8]
SourceLike: TypeAlias = (
    str | os.PathLike[str] | Recording | _Array | Iterable[Frame] | Iterable[tuple[_Array, float]] | Iterable[_Array]
)
"""What gives frames: the path of a video or image file or a file:// URL; a ROS bag by its path, or a `Bag`; an rtsp://,
http:// or https:// URL; "-", which is standard input; a camera as `camera:0` or `/dev/video0`; a GStreamer pipeline,
which has elements with " ! " between; one uint8 array, which is a photo; or an iterable of `Frame`, of (array,
seconds), or of arrays at the model's frame rate. Arrays are uint8: (height, width, 3) RGB, (height, width, 4) RGBA, or
(height, width) grey."""
Tap: TypeAlias = Callable[[Frame], object]


class Source(Iterator[Frame]):
    """Frames in rising time, unless the clock of an iterable goes back by more than a second: then so does time.

    Iterate over it once; close it, or use it in a `with`. A thread reads for it: of a `live` source it keeps the latest
    frame only, of a file it decodes and scales a few frames ahead. Iterables are read in the thread that iterates.
    `stats` counts what was met on the way, in frames read ahead too.
    Iterating raises VideoError when the source holds no frame or is lost, FrameError for an array that is no frame. A
    file that holds less than it promises gives a VideoWarning at its end.
    """

    def __init__(
        self,
        name: str,
        frames: Iterator[Frame],
        stats: SourceStats,
        *,
        live: bool,
        stop: Callable[[bool], None],
        ends: bool = False,
        reads: Callable[[], bool] | None = None,
    ) -> None:
        """`stop(wait)` ends what makes `frames`, and waits for it or not. ends: whether it is a recording. reads:
        whether a thread still does, of a source that has one."""
        self.name = name
        self.live = live
        self.ends = ends
        self.stats = stats
        self._frames = frames
        self._stop = stop
        self._reads = reads
        self._closed = False
        self._failed = False
        self._warned = False
        self._pid = os.getpid()
        self._finalizer = when_dropped(self, partial(stop, True))

    def __iter__(self) -> Source:
        return self

    def __next__(self) -> Frame:
        try:
            frame = None if self._closed else next(self._frames, None)
        except VideoError:
            self._failed = True
            raise
        if frame is None:
            empty = self.stats.frames_yielded == 0 and not self._closed and not self._failed
            self.close()
            if empty:
                raise VideoError(self.name, self._why_empty())
            if self.stats.missing and not self._warned:
                self._warned = True
                lost = f"the last {self.stats.missing:.2f} s are missing: the file was cut off or is damaged at its end"
                warnings.warn(VideoWarning(f"{self.name}: {lost}"), stacklevel=2)
            raise StopIteration
        self.stats.frames_yielded += 1
        return frame

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self, *, wait: bool = True) -> None:
        """Ends the reading and gives files, sockets, devices and threads back. Can be called twice, from any thread.

        A read that hangs is waited for a few seconds, or not at all without `wait`, and gives back what it holds when
        it returns. In a forked child nothing is closed: what was opened belongs to the parent.
        """
        self._closed = True
        if os.getpid() == self._pid:
            self._stop(wait)
        self._finalizer.detach()

    @property
    def hangs(self) -> bool:
        """Whether it is closed, but a read has not returned: what that holds is given back when it does."""
        return self._closed and self._reads is not None and self._reads()

    def _why_empty(self) -> str:
        if self.stats.corrupt == 0:
            return "no frames in it"
        damage = f"{self.stats.corrupt} damaged packet{'s' * (self.stats.corrupt > 1)}"
        return f"no frame in it can be decoded ({damage})"


def open_source(
    source: SourceLike,
    *,
    size: tuple[int, int] | None = None,
    resize: ResizeMode = "cover",
    fps: float | None = None,
    live: bool | None = None,
    timeout: float = 5.0,
    retry_for: float = 30.0,
    tap: Tap | None = None,
    ring: PacketRing | None = None,
) -> Source:
    """Opens anything that gives frames.

    source: the path of a video or image file or a bag; a `Bag`; an rtsp://, http:// or https:// URL; "-" for standard
        input; a camera as `/dev/video0` or `camera:0`; a GStreamer pipeline; one uint8 array (a photo); an iterable of
        Frame, of (array, seconds) or, together with `fps`, of bare arrays.
    size: (width, height) to scale to as `resize` says; None keeps the decoded size.
    fps: sample by timestamp on a grid of 1 / fps seconds: the first frame at or after each due time, or a little
        before it if the source is no file and its stamps may tremble. None gives all.
    live: whether a thread reads ahead and only the latest frame is kept. By default cameras, pipelines, RTSP and what
        comes by HTTP and has no end are live. What has an end plays in real time when it is opened so; a camera or URL
        opened with live=False is read frame by frame to its end.
    timeout: seconds without a frame after which a connection counts as dead; of HLS at least 20, as a segment may last
        so long; of standard input, which can't be tried again, together with `retry_for`.
    retry_for: seconds for which a live source that died is tried again. A camera whose driver hangs can't be; nobody
        waits for it longer than `timeout` and `retry_for` together, and a second.
    tap: called with each frame that is given out, in its decoded size, before it is scaled. Where a thread reads ahead
        it calls it, ahead of who iterates.
    ring: where the encoded packets that are read are kept. A source that has none, as an array, a photo, a bag or a
        camera with raw pictures, is a VideoError.

    Raises VideoError when it can't be opened, InputError for an argument that is not allowed; each says what is.
    """
    if live is not None and not isinstance(live, bool):
        raise InputError(f"live must be True, False or None, got {shown(live)}")
    if size is not None:
        preprocess.check_fit(size, resize)
    for name, value in (("fps", fps), ("timeout", timeout), ("retry_for", retry_for)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} must be a number above 0, got {value}")
    stats, stopped = SourceStats(), threading.Event()
    text = os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
    given = open_input(source, text, Asked(fps, live, timeout, retry_for, ring, stats, stopped))
    name = given.name
    if given.live:
        latest = alive.LatestReader(given.pictures, given.grid, stats, stopped, name, given.silence)
        frames: Iterator[Frame] = Scaled(iter(latest.take, None), size, resize, stats, tap)
        if given.decoded:
            frames = read_all(name, frames)
        stop = partial(latest.stop, given.patience)
        return Source(name, frames, stats, live=True, stop=stop, ends=given.ends, reads=latest.reads)
    frames = Scaled(sampled(given.pictures, given.grid, stopped), size, resize, stats, tap)
    if given.file is None:
        return Source(name, frames, stats, live=False, stop=lambda wait: stopped.set())
    reader = AheadReader(read_all(name, frames), name, given.file.close, stopped)
    return Source(name, reader, stats, live=False, stop=reader.stop, ends=given.ends)
