"""Reading ahead: a file is decoded and scaled while the model looks at the frames before."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator

from vljepa_edge.errors import VideoError
from vljepa_edge.support.ending import Worker, keep_in_child
from vljepa_edge.video.frame import Frame

DEPTH = 2  # frames that may wait
_PATIENCE = 5.0  # seconds; for a disk that does not answer
_CHECK = 0.5  # seconds; waits are bounded, so that Ctrl-C is heard on every platform, and no wake-up is ever missed


class AheadReader(Iterator[Frame]):
    """Iterates over `frames` in a thread, at most DEPTH frames ahead of who takes them. Nothing is dropped.

    The thread starts with the first frame that is asked for. What `frames` raises is raised after the frames before it.
    """

    def __init__(
        self, frames: Iterator[Frame], name: str, release: Callable[[], None], stopped: threading.Event
    ) -> None:
        """`release` gives back what `frames` reads from; `stopped` tells `frames` to end early."""
        self._frames = frames
        self._name = name
        self._pid = os.getpid()
        self._release = release
        self._stopped = stopped
        self._changed = threading.Condition()
        self._waiting: deque[Frame] = deque()
        self._begun = False  # from then on the thread alone touches `frames` and releases
        self._ended = False
        self._error: BaseException | None = None
        self._thread = Worker(self._read, name=f"video {name}", stop=self._tell)
        keep_in_child(self)

    def __next__(self) -> Frame:
        if os.getpid() != self._pid:
            raise VideoError(self._name, "its reader is gone; a process that forks must open its sources after")
        with self._changed:
            if not self._begun and not self._stopped.is_set():
                self._begin()
            while not (self._waiting or self._ended or self._stopped.is_set()):
                self._changed.wait(_CHECK)
            if self._waiting:
                self._changed.notify_all()
                return self._waiting.popleft()
            error, self._error = self._error or StopIteration(), None
            try:
                raise error
            finally:
                del error  # which knows this frame: else they would keep each other, and the source

    def stop(self, wait: bool = True) -> None:
        """Ends the reading and releases the file. One whose read hangs is released by the thread when that returns."""
        begun = self._tell()
        if not begun:
            self._release()
        elif wait and self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE)

    def _tell(self) -> bool:
        """Let the thread end. Returns whether there is one."""
        self._stopped.set()
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()
            return self._begun

    def _begin(self) -> None:
        self._begun = True  # first: an interrupt of start() leaves a thread that will run
        try:
            self._thread.start()
        except RuntimeError:  # no more threads can be had
            self._begun = False
            raise

    def _read(self) -> None:
        try:
            while not self._stopped.is_set():
                frame = next(self._frames, None)
                if frame is None:
                    break
                with self._changed:
                    self._waiting.append(frame)
                    self._changed.notify_all()
                    while len(self._waiting) >= DEPTH and not self._stopped.is_set():
                        self._changed.wait(_CHECK)
        except BaseException as error:
            self._error = error
        self._release()
        with self._changed:
            self._ended = True
            if self._stopped.is_set():
                self._waiting.clear()
            self._changed.notify_all()
