"""Reading ahead: a file is decoded and scaled while the model looks at the frames before."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator

from vljepa_edge.video.frame import Frame

DEPTH = 2  # frames that may wait
_PATIENCE = 5.0  # seconds; for a disk that does not answer


class AheadReader(Iterator[Frame]):
    """Iterates over `frames` in a thread, at most DEPTH frames ahead of who takes them. Nothing is dropped.

    The thread starts with the first frame that is asked for. What `frames` raises is raised after the frames before it.
    """

    def __init__(self, frames: Generator[Frame, None, None], name: str, release: Callable[[], None]) -> None:
        """`release` gives back what `frames` reads from; called once nobody reads any more."""
        self._frames = frames
        self._release = release
        self._changed = threading.Condition()
        self._waiting: deque[Frame] = deque()
        self._ended = False
        self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name=f"video {name}", daemon=True)

    def __next__(self) -> Frame:
        with self._changed:
            if self._thread.ident is None and not self._stopped:
                self._thread.start()
            while not (self._waiting or self._ended or self._stopped):
                self._changed.wait(0.5)  # bounded, so that Ctrl-C is heard on every platform
            if self._stopped:
                raise StopIteration
            if self._waiting:
                self._changed.notify_all()
                return self._waiting.popleft()
            if self._error is not None:
                raise self._error
            raise StopIteration

    def stop(self) -> None:
        """Ends the reading and releases the file. One whose read hangs is left to the thread, which releases it when
        the read returns."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            started = self._thread.ident is not None
        if started and self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE)
        if not self._thread.is_alive():
            self._release()

    def _read(self) -> None:
        error: BaseException | None = None
        try:
            for frame in self._frames:
                with self._changed:
                    self._waiting.append(frame)
                    self._changed.notify_all()
                    while len(self._waiting) >= DEPTH and not self._stopped:
                        self._changed.wait()
                    if self._stopped:
                        break
            self._frames.close()
        except BaseException as caught:
            error = caught
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify_all()
