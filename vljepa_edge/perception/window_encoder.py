"""The window encoder: frames in, embeddings out. Each frame is encoded once, and queries are asked of the window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vljepa_edge._core import Still
from vljepa_edge.perception.shots import ShotDetector
from vljepa_edge.perception.together import Look, alone
from vljepa_edge.perception.vision import Asked, Clip, Frame, Questions
from vljepa_edge.perception.window import Window

if TYPE_CHECKING:
    from vljepa_edge.perception.text import Query
    from vljepa_edge.perception.vision import Features, Vision


class WindowEncoder:
    """The last T frames of one clip or stream, encoded by one model. Until T came, the first one fills the window.

    Not for use from several threads at once. It holds all the state there is: `vision` is shared.
    """

    def __init__(self, vision: Vision, *, cuts: bool = False, max_idle: float = 0.0, still: float = 0.0) -> None:
        """cuts: whether the window restarts with the frame after a hard cut, as a stream's does.

        max_idle: seconds for which what was computed of a still scene is given again; then it is computed again. 0: it
        is computed at each frame. still: levels of 255 by which a block of a frame may differ in a scene that is still
        (see Still); 0: none, every pixel of every frame is the same.
        """
        self._vision = vision
        self._window = Window(vision.video.window)
        self.runs = 0  # how often graphs were run
        self._still = Still(vision.video.window, max_idle, still)
        self._encoded: Features = {}  # what the frame was encoded to that _still keeps
        self._features: Features | None = None
        self._embeddings: dict[Query, NDArray[np.float32]] = {}  # of _features
        self._across: Window | None = None  # the same frames, and those before a hard cut; kept once it is asked for
        self._pooled: NDArray[np.float32] | None = None
        self._shots = ShotDetector(vision.video.window) if cuts else None

    @property
    def times(self) -> NDArray[np.float64]:
        """Seconds of the window's frames, oldest first, (T,). A view: valid until the next push."""
        return self._window.times

    def push(self, frame: NDArray[np.uint8], time: float) -> None:
        """Encode a prepared frame (see Vision.prepare), uint8 (H, W, 3), and add it. Raises EngineError."""
        alone(self._vision.answer, self.pushing(frame, time))

    def pushing(self, frame: NDArray[np.uint8], time: float) -> Look[Asked, None]:
        """push() as a look, for Vision.together."""
        repeats = self._still.is_repeated(frame)
        is_given = repeats and self._still.is_fresh(time)
        if not is_given:
            self._encoded = yield Frame(frame)
            self._still.keep(frame, time)
            self._forget_window()
            self.runs += 1
        if self._shots is not None and self._shots.begins(frame, self._encoded):
            self._window.clear()
        self._add(self._encoded, time, repeats)
        if repeats and not is_given:  # the window stays that of one frame, which is the new one
            self._window.renew(self._encoded, self._still.same)
            if self._across is not None:
                self._across.renew(self._encoded, self._still.same)

    def push_encoded(self, encoded: Features, time: float) -> None:
        """Add a frame that Vision.encode_frame has encoded."""
        self._still.forget()
        self._add(encoded, time, repeats=False)

    def _add(self, encoded: Features, time: float, repeats: bool) -> None:
        """Add a frame. What was computed of the window stays where it still holds nothing but this frame."""
        self._window.push(encoded, time)
        if self._across is not None:
            self._across.push(encoded, time)
        if self._still.count(repeats):
            self._forget_window()

    def features(self) -> Features:
        """All that the predictor takes of the window: views, valid until the next push. Clip graphs run once a push.

        Raises InputError when no frame was pushed, EngineError when a graph fails.
        """
        return alone(self._vision.answer, self.looking())

    def looking(self) -> Look[Asked, Features]:
        """features() as a look, for Vision.together."""
        if self._features is None:
            self._features = yield Clip(self._vision.gather(self._window))
            self.runs += 1
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
        return alone(self._vision.answer, self.pooling())

    def pooling(self) -> Look[Asked, NDArray[np.float32]]:
        """pooled() as a look, for Vision.together."""
        if self._pooled is None:
            if self._shots is not None and self._across is None:
                self._across = self._window.copy()
            if self._across is None or np.array_equal(self._across.times, self._window.times):
                features = yield from self.looking()
            else:
                features = yield Clip(self._vision.gather(self._across))
                self.runs += 1
            self._pooled = self._vision.pool(features)
        return self._pooled

    def embed(self, query: Query) -> NDArray[np.float32]:
        """The embedding [E] that is predicted for a query: unit norm, read-only. Raises as features() does."""
        return alone(self._vision.answer, self.asking([query]))[0]

    def asking(self, queries: Sequence[Query]) -> Look[Asked, list[NDArray[np.float32]]]:
        """embed() of several queries as a look, for Vision.together. What does not depend on them is computed once."""
        features = yield from self.looking()
        new = list(dict.fromkeys(query for query in queries if query not in self._embeddings))
        if new:
            self._embeddings |= zip(new, (yield Questions(features, new)), strict=True)
            self.runs += len(new)
        return [self._embeddings[query] for query in queries]

    def clear(self) -> None:
        """Forget the frames and keep the memory."""
        self._window.clear()
        if self._across is not None:
            self._across.clear()
        self._still.clear()
        self._forget_window()
        if self._shots is not None:
            self._shots.clear()

    def _forget_window(self) -> None:
        """What was computed of the window holds no more."""
        self._features = self._pooled = None
        self._embeddings.clear()
