"""A video that another program writes into this one: `ffmpeg ... - | vljepa stream -`."""

from __future__ import annotations

import os
import select
import sys
import threading
import time

from av.error import FFmpegError

from vljepa_edge.errors import VideoError
from vljepa_edge.video.decoder import Decoder
from vljepa_edge.video.frame import SourceStats

STANDARD_INPUT = "-"  # as a source
NAME = "standard input"
_NO_INDEX = (
    "a pipe can't be searched, so an MP4 needs its index (moov) in front: -movflags +faststart, or write MPEG-TS or MKV"
)
_CHECK = 0.2  # seconds; waits are bounded, so that an end of the reading and Ctrl-C are heard


class _Pipe:
    """What PyAV reads from. It has no `seek`, so nothing is tried that a pipe can't do."""

    def __init__(self, descriptor: int, silence: float, stopped: threading.Event) -> None:
        self._descriptor, self._silence, self._stopped = descriptor, silence, stopped
        self.began = False  # whether a byte came

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end. Raises VideoError where none come for `silence` seconds."""
        deadline = time.monotonic() + self._silence
        while not self._stopped.is_set():
            if select.select([self._descriptor], [], [], _CHECK)[0]:
                data = os.read(self._descriptor, size)
                self.began |= bool(data)
                return data
            if time.monotonic() >= deadline:
                raise VideoError(NAME, f"nothing came for {self._silence:g} s")
        return b""


def open_standard_input(stats: SourceStats, silence: float, stopped: threading.Event) -> Decoder:
    """The video that comes in by standard input. It is read as fast as it is worked on, so the writer is held up rather
    than frames dropped. silence: seconds without a byte after which it counts as dead. Raises VideoError."""
    try:
        if sys.stdin is None or sys.stdin.closed:
            raise VideoError(NAME, "it is closed; pipe a video into this program")
        descriptor = sys.stdin.fileno()
    except (OSError, ValueError, AttributeError):  # something else stands in for it
        raise VideoError(NAME, "it has no file descriptor; give the video as a file") from None
    if os.isatty(descriptor):
        raise VideoError(NAME, "it is a terminal; pipe a video into this program, or name ./- for a file of that name")
    pipe = _Pipe(descriptor, silence, stopped)
    try:
        decoder = Decoder(NAME, pipe, stats, options={"protocol_whitelist": "none"})
        if "mp4" in decoder.format:
            decoder.why_empty = f"no frame in it can be decoded; {_NO_INDEX}"
        return decoder
    except FFmpegError as error:
        reason = f"not a video or image, or damaged from the start ({error.strerror}); {_NO_INDEX}"
        if not pipe.began:
            reason = "nothing came (0 bytes); did the program before it fail?"
    raise VideoError(NAME, reason)
