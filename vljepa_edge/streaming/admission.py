"""Which pushed frames are taken, and how: those that are due, as RGB arrays of the stream's own."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from vljepa_edge._core import Sampler
from vljepa_edge.errors import InputError
from vljepa_edge.streaming.analysis import Item
from vljepa_edge.support.arguments import as_number
from vljepa_edge.video.preprocess import as_rgb

if TYPE_CHECKING:
    from vljepa_edge.streaming.stats import Tally


class Admission:
    """Counts frames out, or makes them ready and numbers them. For one thread at a time."""

    def __init__(self, fps: float, gap: float, tally: Tally) -> None:
        self.arrived = perf_counter()  # when the newest frame came that was good, due or not
        self._sampler = Sampler(fps, gap)
        self._tally = tally
        self._admitted = 0  # number of the newest frame
        self._stretch = 0  # of the newest frame

    def admit(self, frame: NDArray[Any], time: float, called: float, copy: bool, life: int) -> Item | None:
        """Count the frame out, or make it ready: RGB, and the stream's own copy if `copy`.

        called: when (perf_counter) push was called. life: of the stream. Raises as push does.
        """
        try:
            seconds = as_number(time, "time", " of seconds")
        except InputError:
            self._tally.add("bad_times")
            raise
        verdict = self._sampler.judge(seconds)
        if verdict != "due":
            self._tally.add(verdict)
            if verdict == "skipped":
                self.arrived = called
            if verdict not in ("restarts", "gaps"):
                return None
            self._stretch += 1
        try:
            image = as_rgb(frame)
        except Exception:
            self._tally.add("errors")
            raise
        if copy and (image is frame or image.base is not None):
            image = image.copy()
        self._sampler.take(seconds)
        self.arrived = called
        self._admitted += 1
        return Item(image, seconds, called, perf_counter(), self._admitted, self._stretch, life)

    def restart(self) -> None:
        """Forget the clock: the next frame is due."""
        self._sampler.restart()
