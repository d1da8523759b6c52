"""From pictures as decoded to frames as the model wants them: those that are due, scaled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from av.error import FFmpegError

from vljepa_edge._core import Grid
from vljepa_edge.video import preprocess
from vljepa_edge.video.frame import Frame, Picture, Pictures, SourceStats
from vljepa_edge.video.preprocess import ResizeMode


def sampled(pictures: Pictures, grid: Grid, stopped: threading.Event) -> Iterator[Picture]:
    """Those that are due, until `stopped`: between two of them there may be thousands."""
    for picture in pictures:
        if stopped.is_set():
            return
        if grid.takes(picture.time):
            yield picture


class Scaled(Iterator[Frame]):
    """Pictures as the model wants them. One that can't be converted is counted as damage and left out."""

    def __init__(
        self,
        pictures: Iterator[Picture],
        size: tuple[int, int] | None,
        resize: ResizeMode,
        stats: SourceStats,
        tap: Callable[[Frame], object] | None,
    ) -> None:
        self._pictures, self._size, self._resize, self._stats = pictures, size, resize, stats
        self._scaler = preprocess.Scaler()
        self._tap, self._tapped = tap, preprocess.Scaler()

    def __next__(self) -> Frame:
        while True:
            picture = next(self._pictures)
            try:
                frame = Frame(self._scaler.upright(picture, self._size, self._resize), picture.time)
                if self._tap is not None:
                    self._tap(Frame(self._tapped.upright(picture, None, self._resize), picture.time))
                return frame
            except FFmpegError:
                self._stats.corrupt += 1
