"""A named stream: a thread reads its source, opens it again when it is lost, and pushes what it sees."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Literal

from vljepa_edge.errors import VLJepaError, redacted
from vljepa_edge.serve.pictures import Tap
from vljepa_edge.support.ending import Worker
from vljepa_edge.support.repeats import Repeats
from vljepa_edge.video.inputs import is_live
from vljepa_edge.video.source import open_source

if TYPE_CHECKING:
    from vljepa_edge.store.recorder import Recorder
    from vljepa_edge.streaming.stream import Stream
    from vljepa_edge.video.source import Source, SourceLike

State = Literal["opening", "running", "failing", "silent", "waiting", "hanging", "ended", "failed"]
"""Of a source: it is being opened; frames come; frames come, and the model fails on each; none came for a while; it was
lost and will be opened again; reads of it hang, and it will be opened again when one has returned; a file was read to
its end; a file can't be read."""

_VIEWED = 10.0  # frames a second that a viewer should see, at least
_TIMEOUT, _RETRY_FOR = 5.0, 3.0  # seconds; see open_source
_SILENT = 3.0  # seconds without a frame
FAILING = 20  # frames with no hop in between, or texts, that failed: it is no accident
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds between two attempts to open a source, doubling
_MOST_HANGING = 3  # reads that have not returned: each keeps a thread and a handle of the driver
_LOOK = 1.0  # seconds between two looks whether one has
ENDING = 3.0  # seconds that close() waits for a source that hangs
_log = logging.getLogger(__name__)


class Channel:
    """One source and its Stream, which lives on while the source is opened again: its time goes on as on the clock.

    A recording is played at the speed at which it was made, once, by HTTP too. The thread that reads waits for nobody:
    the stream drops frames where it can't keep up.
    """

    def __init__(
        self,
        name: str,
        source: SourceLike,
        stream: Stream,
        recorder: Recorder | None = None,
        seen: Callable[[float], object] | None = None,
    ) -> None:
        """`stream` is a live one; the channel closes it. recorder: of clips around its events. seen: told the time of
        each frame.

        Raises VideoError for a text that names no source, and for a file that can't be opened.
        """
        self.name = name
        self.stream = stream
        self.recorder = recorder
        self._on_frame = seen
        self.described = redacted(source) if isinstance(source, str) else type(source).__name__
        self._lost: str | None = None  # why the source was lost or failed
        self.reopened = 0
        video = stream.model.manifest.video
        self.tap = Tap(1 / video.fps, kept=2 * video.window)
        self._source = source
        # A multiple of the model's rate, so that the frames that the stream takes are evenly spaced.
        self._fps = video.fps * math.ceil(_VIEWED / video.fps)
        self._again = isinstance(source, str) and is_live(source)
        self._state: State = "opening"
        self._seen = monotonic()  # when the newest frame came
        self._dropped = 0  # frames, of sources that are closed
        self._closed: list[Source] = []  # those whose reads hang
        self._begun = 0.0  # when the first frame came
        self._last = -math.inf  # time of the newest frame
        self._stopped = threading.Event()
        self._opened: Source | None = None if self._again else self._open()
        self._repeats = Repeats(_log, logging.ERROR)
        self._thread = Worker(self._run, name=f"vljepa-serve {name}", stop=self._stopped.set)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more."""
        self._stopped.set()
        opened = self._opened
        if opened is not None:
            opened.close(wait=False)

    def close(self, until: float | None = None) -> None:
        """Stop, close the open segments and the stream. A source that hangs is waited for until then, by monotonic():
        for three seconds unless given."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join(ENDING if until is None else max(0.0, until - monotonic()))
        if not self._thread.is_alive():
            self._finish()
        self.stream.close()

    @property
    def state(self) -> State:
        """How the source is doing."""
        if self._state == "running" and self._again and monotonic() - self._seen > _SILENT:
            return "silent"
        if self._state == "running" and self.stream.failing >= FAILING:
            return "failing"
        return self._state

    @property
    def error(self) -> str | None:
        """Why the source was lost or failed, or the model fails; None where all is well."""
        return str(self.stream.last_error) if self.state == "failing" else self._lost

    @property
    def live(self) -> bool:
        """Whether it is a camera or an address, which is opened again when it is lost; a recording's end is none."""
        return self._again

    @property
    def time(self) -> float | None:
        """Seconds on the clock of the stream: the newest frame's. None before the first."""
        return None if self._last == -math.inf else self._last

    @property
    def dropped(self) -> int:
        """Frames of the source that made way for newer ones before the stream took them."""
        opened = self._opened
        return self._dropped + (0 if opened is None else opened.stats.dropped)

    def _open(self) -> Source:
        ring = None if self.recorder is None else self.recorder.ring
        return open_source(self._source, fps=self._fps, live=True, timeout=_TIMEOUT, retry_for=_RETRY_FOR, ring=ring)

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopped.is_set():
            before, over = self.tap.number, not self._again
            try:
                over = self._read() or over
                self._lost = None if over else "the source ended"
            except VLJepaError as error:
                self._lost = str(error)
            except Exception as error:  # of an iterable, or a fault of ours: the thread must not end unsaid
                self._lost = f"{type(error).__name__}: {error}"
                self._repeats.log(f"stream {self.name} failed", error)
            self._finish()
            if over:
                self._state = "ended" if self._lost is None else "failed"
                return
            if self.tap.number > before:  # also where frames came and the source was lost then
                pause = _FIRST_PAUSE
            self._state = "waiting"
            self._stopped.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            self._wait_for_reads()
            self.reopened += 1

    def _wait_for_reads(self) -> None:
        """Wait while too many reads hang: whoever opens a driver that hangs again and again only gets more of them."""
        while self._reads_hang() and not self._stopped.is_set():
            self._state = "hanging"
            self._stopped.wait(_LOOK)
        self._state = "waiting"

    def _reads_hang(self) -> bool:
        self._closed = [source for source in self._closed if source.hangs]
        return len(self._closed) >= _MOST_HANGING

    def _read(self) -> bool:
        """Push what the source gives until it ends. Returns whether that was the end of a recording."""
        source = self._opened or self._open()
        self._opened = source
        shift: float | None = None
        try:
            with source:
                for image, time in source:
                    if shift is None:
                        shift = self._shift(time)
                        if self.recorder is not None:
                            self.recorder.opened(shift)
                        self._lost = None
                        self._state = "running"
                    self._seen, self._last = monotonic(), time + shift
                    self.tap.put(image, self._last)
                    self.stream.push(image, self._last)
                    if self._on_frame is not None:
                        self._on_frame(self._last)
                    if self.recorder is not None:
                        self.recorder.look()
                    if self._stopped.is_set():
                        break
        finally:
            self._dropped += source.stats.dropped
            self._opened = None
            if source.hangs:
                self._closed.append(source)
        return source.ends

    def _shift(self, first: float) -> float:
        """Seconds to add to the times of a source that was opened: they go on from those of the one before."""
        if self._last == -math.inf:
            self._begun = monotonic() - first
            return 0.0
        return max(monotonic() - self._begun, self._last) - first

    def _finish(self) -> None:
        try:
            self.stream.flush()
        except VLJepaError as error:  # of a graph, or the stream is closed; what could be closed is closed
            self._lost = self._lost or str(error)
        if self.recorder is not None:
            self.recorder.finish()
