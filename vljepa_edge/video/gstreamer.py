"""GStreamer pipelines as sources, where PyGObject (gi) and GStreamer are installed: `v4l2src ! videoconvert`.

Nothing of GStreamer is on PyPI: it comes with the system. What the pipeline gives at its end is converted to RGB.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
import time
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import EngineError, VideoError, redacted
from vljepa_edge.video.frame import MAX_PIXELS, Picture, Pictures, SourceStats
from vljepa_edge.video.live_clock import LiveClock

INSTALL = (
    "install GStreamer and PyGObject, on Debian and Ubuntu: apt install python3-gi gir1.2-gst-plugins-base-1.0 "
    "gstreamer1.0-plugins-good, and make the venv with --system-site-packages"
)
_NAME = "vljepa"  # of the element at the end
_END = f"videoconvert ! video/x-raw,format=RGB ! appsink name={_NAME} sync=false max-buffers=2 drop={{drop}}"
_CHECK = 0.2  # seconds; waits are bounded, so that an end of the reading is heard
_SECOND = 10**9  # nanoseconds
_USUAL_INTERVAL = 0.04  # seconds between frames, before two have come


def is_pipeline(text: str, *, or_file: bool = False) -> bool:
    """Whether a text describes a pipeline, elements with `!` and spaces between, and no file is called so."""
    return " ! " in text and (or_file or not os.path.exists(text))


def hidden(text: str) -> str:
    """A pipeline, or what GStreamer says of it, fit for messages: without user names, passwords and keys."""
    return " ".join(re.sub(r"(?i)^([\w-]*(?:pw|user|id))=.*", r"\1=***", redacted(word)) for word in text.split())


class Pipeline:
    """A pipeline that runs. Its frames come from second 0 on, on the clock of their arrival."""

    def __init__(self, text: str, stats: SourceStats, timeout: float, stopped: threading.Event, *, drop: bool) -> None:
        """drop: whether older frames make way for newer ones that nobody has taken.

        Raises EngineError where GStreamer is missing, VideoError for a pipeline that can't be made or does not start
        within `timeout` seconds.
        """
        self.name = hidden(text)
        self._stats, self._timeout, self._stopped = stats, timeout, stopped
        self._gst = _import_gst()
        try:
            self._pipeline = self._gst.parse_launch(f"{text} ! {_END.format(drop=str(drop).lower())}")
        except Exception as error:  # GLib.Error, whose module is known only where it is installed
            said = hidden(str(getattr(error, "message", error)))
            raise VideoError(self.name, f"GStreamer can't make this pipeline: {said}") from None
        self._sink = self._pipeline.get_by_name(_NAME)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def pictures(self) -> Pictures:
        """The frames until the pipeline ends. Raises VideoError when it fails, or gives nothing for `timeout` seconds.
        Closes it at the end."""
        clock = LiveClock(self._stats, _USUAL_INTERVAL)
        seen = time.monotonic()
        failure: str | None = None
        try:
            while not self._stopped.is_set():
                sample = self._sink.emit("try-pull-sample", round(_CHECK * _SECOND))
                now = time.monotonic()
                # On every pass: elements may post messages with each frame, and nobody else takes them.
                failure = self._failure() or failure
                if sample is not None:
                    seen = now
                    self._stats.frames_decoded += 1
                    stamp = sample.get_buffer().pts
                    known = stamp != self._gst.CLOCK_TIME_NONE
                    yield Picture(self._image(sample), clock.place(stamp / _SECOND if known else None, now))
                elif failure is not None:
                    raise VideoError(self.name, failure)
                elif self._sink.get_property("eos"):
                    return
                elif now - seen > self._timeout:
                    raise VideoError(self.name, f"no frame came for {self._timeout:g} s")
        finally:
            self.close()

    def close(self) -> None:
        """Stop it and give its devices back. Can be called twice."""
        self._pipeline.set_state(self._gst.State.NULL)

    def _start(self) -> None:
        self._pipeline.set_state(self._gst.State.PLAYING)
        state, _, _ = self._pipeline.get_state(round(self._timeout * _SECOND))
        if state == self._gst.StateChangeReturn.FAILURE:
            raise VideoError(self.name, self._failure() or "the pipeline does not start")
        if state == self._gst.StateChangeReturn.ASYNC:
            raise VideoError(self.name, self._failure() or f"no frame came within {self._timeout:g} s")

    def _failure(self) -> str | None:
        """What an element said went wrong, if one did. Takes the messages up to there off the bus."""
        message = self._pipeline.get_bus().pop_filtered(self._gst.MessageType.ERROR)
        return None if message is None else f"{message.src.get_name()}: {hidden(message.parse_error()[0].message)}"

    def _image(self, sample: Any) -> NDArray[np.uint8]:
        """A sample as RGB (height, width, 3). Rows are padded to a multiple of four bytes."""
        caps = sample.get_caps().get_structure(0)
        width, height = caps.get_value("width"), caps.get_value("height")
        if width * height > MAX_PIXELS:
            raise VideoError(
                self.name, f"frames of {width} x {height} are too large; they must have at most {MAX_PIXELS} pixels"
            )
        buffer = sample.get_buffer()
        ok, mapped = buffer.map(self._gst.MapFlags.READ)
        if not ok:
            raise VideoError(self.name, "the memory of a frame can't be read")
        try:
            rows: NDArray[np.uint8] = np.frombuffer(mapped.data, np.uint8).reshape(height, -1)
            image: NDArray[np.uint8] = rows[:, : 3 * width].reshape(height, width, 3).copy()
            return image
        finally:
            buffer.unmap(mapped)


def _import_gst() -> Any:
    # Debian's GStreamer links libunwind, whose functions would take the place of libgcc's for every library that comes
    # later: a C++ exception that OpenVINO throws and catches inside would then end the process.
    with suppress(OSError):
        ctypes.CDLL("libgcc_s.so.1", mode=ctypes.RTLD_GLOBAL)
    try:
        import gi

        gi.require_version("Gst", "1.0")
        gi.require_version("GstApp", "1.0")
        from gi.repository import Gst, GstApp  # noqa: F401 - appsink's signals are known once GstApp is loaded
    except (ImportError, ValueError) as error:
        raise EngineError(f"a GStreamer pipeline can't be read here: {error}; {INSTALL}") from None
    Gst.init(None)
    return Gst
