"""A camera's messages in, events as JSON out: the work of a node, whatever carries its messages."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from vljepa_edge._core import EARLY, Grid
from vljepa_edge.errors import InputError
from vljepa_edge.streaming.asking import read_queries
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.policy import Policy, parse_policy
from vljepa_edge.streaming.watch import HOLD, WatchLike
from vljepa_edge.support.arguments import as_number, shown
from vljepa_edge.video.frame import Picture
from vljepa_edge.video.preprocess import Scaler, as_rgb

if TYPE_CHECKING:
    from vljepa_edge.model import Model
    from vljepa_edge.streaming.options import StreamOptions

Pixels = av.VideoFrame | NDArray[np.uint8]


class Watcher:
    """A live stream that is fed by messages. Frames between two that the model looks at are not even decoded.

    publish: called with each event, as a JSON object on one line: `{"type": "event", "status": ...}`, as `vljepa
        stream --json` prints it. It is called on the stream's worker, or on a thread that changes the stream
    watch, hold: labels to watch for, as in Stream.watch
    Other arguments are those of Model.open_stream, and so are the errors. `see` is for one thread.
    """

    def __init__(
        self,
        model: Model,
        publish: Callable[[str], object],
        *,
        query: str | Sequence[str] | None = None,
        watch: WatchLike = (),
        hold: float = HOLD,
        options: StreamOptions | None = None,
    ) -> None:
        video = model.manifest.video
        self._size, self._resize = (video.width, video.height), video.resize
        self._grid = Grid(video.fps, EARLY)
        self._scaler = Scaler()
        self._closed = False
        self.damaged = 0
        """Pictures that could not be decoded."""
        self.stream = model.open_stream(
            query, live=True, options=options, callback=lambda event: publish(event_line(event))
        )
        try:
            if watch:
                self.stream.watch(watch, hold)
        except BaseException:
            self.stream.close()
            raise

    def see(self, read: Callable[[], Pixels | None], time: float) -> bool:
        """A frame came, of this time in seconds. `read` gives its pixels and is called only where the model wants them:
        a frame of PyAV or uint8 RGB (height, width, 3), RGBA or grey; None for a picture that is damaged.

        Returns at once, whether the frame was taken. Raises InputError for a time that is none and a closed stream, and
        what `read` raises; the next frame is taken then.
        """
        if not math.isfinite(as_number(time, "time", " of seconds")):
            raise InputError(f"time must be finite, got {shown(time)}")
        if not self._grid.is_due(time):
            return False
        pixels = read()
        if pixels is None:
            self.damaged += 1
            return False
        pixels = pixels if isinstance(pixels, av.VideoFrame) else as_rgb(pixels)
        image = self._scaler.upright(Picture(pixels, time), self._size, self._resize)
        self._grid.take(time)
        self.stream.push(image, time)
        return True

    def change(
        self,
        *,
        query: str | Sequence[str] | None = None,
        policy: str | Policy | None = None,
        watch: WatchLike | None = None,
        hold: float = HOLD,
    ) -> None:
        """Ask, cut by, or watch for something else from the next hop on; None leaves it as it is.

        All of it or, where one is not allowed, none. Raises InputError.
        """
        asked = None if query is None else read_queries(query)
        cut = None if policy is None else parse_policy(policy)
        if watch is not None:
            self.stream.watch(watch, hold)  # the last that can be refused
        if asked is not None:
            self.stream.set_query(asked)
        if cut is not None:
            self.stream.set_policy(cut)

    def close(self) -> None:
        """Close the open segments, publish these events, and end. Can be called twice."""
        if not self._closed:
            self._closed = True
            self.stream.flush()
            self.stream.close()


def event_line(event: Event) -> str:
    """An event as JSON on one line."""
    return json.dumps({"type": "event", **event.to_dict()}, allow_nan=False)
