"""The embedding of each hop of a stream, as the runtime predicts it, kept in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import VideoError
from vljepa_edge.evaluation.kept import keep
from vljepa_edge.perception.window_encoder import WindowEncoder
from vljepa_edge.streaming.options import StreamOptions

if TYPE_CHECKING:
    from vljepa_edge.evaluation.selective.streams import Stream
    from vljepa_edge.perception.perception import Perception


class Embedded(NamedTuple):
    """times [N]: seconds of each hop's newest frame. since [N]: of the oldest frame in its window, which restarts at a
    hard cut. rows float32 [N, E]: what is predicted, unit norm."""

    times: NDArray[np.float64]
    since: NDArray[np.float64]
    rows: NDArray[np.float32]

    @property
    def middles(self) -> NDArray[np.float64]:
        """Seconds, the middle of each hop's window: what its embedding speaks of."""
        return (self.since + self.times) / 2

    @property
    def idle(self) -> float:
        """The share of hops that nothing was computed for: their embedding is that of the hop before, bit for bit."""
        return float((self.rows[1:] == self.rows[:-1]).all(1).mean())

    @property
    def seconds(self) -> float:
        """How long the stream is."""
        return self.end - float(self.times[0])

    @property
    def end(self) -> float:
        """Seconds, a hop after the last one."""
        return float(self.times[-1] + np.median(np.diff(self.times)))


def embed(model: Perception, stream: Stream, still: float = 0.0) -> Embedded:
    """A stream through the frame encoder, the window and the predictor, hop by hop, as a Stream of the runtime does it
    with the model's default query.

    still: how much a frame may differ in a scene that is still, in which nothing is computed (StreamOptions.still).
    What was embedded before comes from the cache. Raises VideoError for a file that can't be read or is over before its
    second hop, EngineError where a graph fails.
    """
    asked = model.text.query(model.manifest.text.default_query)

    def make() -> NDArray[np.float64]:
        encoder = open_encoder(model, still)
        hop = model.manifest.video.hop
        found, number = [], -1
        for number, (frame, time) in enumerate(stream.frames(model.open)):
            encoder.push(model.vision.prepare(frame), time)
            if number % hop == 0:
                found.append(np.concatenate([[time, encoder.times[0]], encoder.embed(asked)]))
        if len(found) < 2:
            raise VideoError(stream.name, f"must last for 2 hops at least, {hop + 1} frames, got {number + 1}")
        return np.stack(found)

    def fits(found: NDArray[np.float64]) -> bool:
        if found.ndim != 2 or found.dtype != np.float64:
            return False
        return (
            len(found) > 1 and found.shape[1] == 2 + model.manifest.embedding.width and bool(np.isfinite(found).all())
        )

    gate = {"still": still} if still else {}
    made_of = ("selective", model.bundle.digest, model.arithmetic, asked.text, dict(stream.recipe) | gate)
    kept = keep(made_of, make, fits)
    return Embedded(kept[:, 0], kept[:, 1], kept[:, 2:].astype(np.float32))


def open_encoder(model: Perception, still: float) -> WindowEncoder:
    """As a stream of the runtime has it, with the motion gate where `still` is above 0."""
    return WindowEncoder(model.vision, cuts=True, max_idle=StreamOptions().max_idle if still else 0.0, still=still)
