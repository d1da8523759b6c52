"""The window encoder: frames in, embeddings out. Each frame is encoded once, and queries are asked of the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.perception.shots import ShotDetector
from vljepa_edge.perception.window import Window

if TYPE_CHECKING:
    from vljepa_edge.perception.text import Query
    from vljepa_edge.perception.vision import Features, Vision


class WindowEncoder:
    """The last T frames of one clip or stream, encoded by one model. Until T came, the first one fills the window.

    Not for use from several threads at once. It holds all the state there is: `vision` is shared.
    """

    def __init__(self, vision: Vision, *, cuts: bool = False) -> None:
        """cuts: whether the window restarts with the frame after a hard cut, as a stream's does."""
        self._vision = vision
        self._window = Window(vision.video.window)
        self._features: Features | None = None
        self._across: Window | None = None  # the same frames, and those before a hard cut; kept once it is asked for
        self._pooled: NDArray[np.float32] | None = None
        self._shots = ShotDetector(vision.video.window) if cuts else None

    @property
    def times(self) -> NDArray[np.float64]:
        """Seconds of the window's frames, oldest first, (T,). A view: valid until the next push."""
        return self._window.times

    def push(self, frame: NDArray[np.uint8], time: float) -> None:
        """Encode a prepared frame (see Vision.prepare), uint8 (H, W, 3), and add it. Raises EngineError."""
        encoded = self._vision.encode_frame(frame)
        if self._shots is not None and self._shots.begins(frame, encoded):
            self._window.clear()
        self.push_encoded(encoded, time)

    def push_encoded(self, encoded: Features, time: float) -> None:
        """Add a frame that Vision.encode_frame has encoded."""
        self._window.push(encoded, time)
        if self._across is not None:
            self._across.push(encoded, time)
        self._features = self._pooled = None

    def features(self) -> Features:
        """All that the predictor takes of the window: views, valid until the next push. Clip graphs run once a push.

        Raises InputError when no frame was pushed, EngineError when a graph fails.
        """
        if self._features is None:
            self._features = self._vision.encode_clip(self._vision.gather(self._window))
        return self._features

    @property
    def pooled_times(self) -> NDArray[np.float64]:
        """Seconds of the frames of pooled(), oldest first, (T,). A view: valid until the next push."""
        return self.times if self._across is None else self._across.times

    def pooled(self) -> NDArray[np.float32]:
        """Vision.pool of the last T frames, also of those before a hard cut: it may be the very thing that is looked
        for. Read-only. Where no cut lies among them it is made of features(), else clip graphs run a second time.

        Raises as features() does.
        """
        if self._pooled is None:
            if self._shots is not None and self._across is None:
                self._across = self._window.copy()
            if self._across is None or np.array_equal(self._across.times, self._window.times):
                features = self.features()
            else:
                features = self._vision.encode_clip(self._vision.gather(self._across))
            self._pooled = self._vision.pool(features)
        return self._pooled

    def embed(self, query: Query) -> NDArray[np.float32]:
        """The embedding [E] that is predicted for a query: unit norm, read-only. Raises as features() does."""
        return self._vision.predict(self.features(), query)

    def clear(self) -> None:
        """Forget the frames and keep the memory."""
        self._window.clear()
        if self._across is not None:
            self._across.clear()
        self._features = self._pooled = None
        if self._shots is not None:
            self._shots.clear()
