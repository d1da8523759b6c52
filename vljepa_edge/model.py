"""Model: a bundle on an engine. It is immutable: one Model serves many streams and threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.engines import Precision, compile_all, open_engine
from vljepa_edge.errors import InputError
from vljepa_edge.perception.text import Text
from vljepa_edge.perception.vision import Vision
from vljepa_edge.perception.window import Window
from vljepa_edge.video.source import open_source

if TYPE_CHECKING:
    from vljepa_edge.bundle.manifest import Manifest
    from vljepa_edge.engines.base import Engine
    from vljepa_edge.streaming.event import Event
    from vljepa_edge.streaming.policy import Policy
    from vljepa_edge.streaming.reader import EventReader
    from vljepa_edge.streaming.stream import Stream
    from vljepa_edge.tasks.answer import Answer
    from vljepa_edge.tasks.classify import Score
    from vljepa_edge.video.source import Source


class WindowEmbedding(NamedTuple):
    """The embedding [E] of one window; `start` and `end` are the times of its first and last frame, seconds."""

    start: float
    end: float
    embedding: NDArray[np.float32]


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    engine: str = "openvino",
    threads: int | None = None,
    precision: Precision = "auto",
) -> Model:
    """Load a bundle (a folder or a .vljepa file; the embedded default when None) on an engine.

    Raises BundleError when the bundle is broken, InputError for an unknown engine or precision, EngineError when the
    engine is not installed or can't run a graph.
    """
    bundle = Bundle.open(default_bundle() if path is None else path)
    return Model(bundle, open_engine(engine, threads=threads, precision=precision))


class Model:
    """A bundle whose graphs are compiled on an engine.

    A `source`, wherever a method takes one, is the path of a video or image, an RTSP URL, a camera ("camera:0"), one
    image array, arrays at the model's frame rate, or an iterable of (array, seconds). Arrays are uint8: RGB, RGBA or
    grey.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.bundle = bundle
        self.engine = engine.name
        self.graphs = compile_all(engine, bundle)  # by role
        self.text = Text(bundle, self.graphs)
        self.vision = Vision(bundle.manifest, self.graphs)

    @property
    def manifest(self) -> Manifest:
        """What the bundle says about itself."""
        return self.bundle.manifest

    def __repr__(self) -> str:
        return f"Model({self.manifest.name} {self.manifest.version}, {self.engine})"

    # --- embeddings ---

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Target embeddings (Y-encoder): float32 [N, E], unit norm. Raises InputError for an empty text."""
        if isinstance(texts, str):
            raise InputError("embed_text takes a list of strings; write embed_text([text])")
        return self.text.embed(texts)

    def decode_text(self, embedding: NDArray[np.float32]) -> str:
        """The text that an embedding [E] stands for (Y-decoder, greedy)."""
        return self.text.decode(embedding)

    def embed_video(self, source: Any, query: str | None = None) -> NDArray[np.float32]:
        """One embedding [E], unit norm, of a whole video or image: the mean over windows that overlap by half.

        The windows keep the model's frame rate, so motion looks as it did in training. A source that is shorter than a
        window fills it by repeating its first frame (an image: all of it, as in section 3.1 of the paper). A camera or
        RTSP URL has no end: the first full window is looked at. Raises VideoError when there is no frame to see.
        """
        _, embeddings = self.embed_windows(source, query, hop=max(1, self.manifest.video.window // 2))
        mean = embeddings.mean(0)
        unit: NDArray[np.float32] = mean / max(float(np.linalg.norm(mean)), 1e-12)
        return unit

    def embed_windows(
        self, source: Any, query: str | None = None, *, hop: int | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """The end times [N] in seconds and embeddings [N, E] of all windows; see `windows`."""
        found = list(self.windows(source, query, hop=hop))
        return np.array([item.end for item in found]), np.stack([item.embedding for item in found])

    def windows(self, source: Any, query: str | None = None, *, hop: int | None = None) -> Iterator[WindowEmbedding]:
        """Embed full windows, `hop` frames apart (the manifest's hop when None), and one that ends at the last frame.

        A source shorter than a window gives one, filled by repeating the first frame; so does a stretch between two
        times at which an iterable's clock goes back, which no window spans. A camera or RTSP URL has no end
        and gives its first full window only; `stream` watches on. Raises VideoError when the source has no frames.
        """
        video = self.manifest.video
        step = video.hop if hop is None else hop
        if step < 1:
            raise InputError(f"a hop of {step} frames is not legal; use 1 or more")
        asked = self.text.query(self.manifest.text.default_query if query is None else query)
        window, count, seen = Window(video.window), 0, True

        def embed() -> WindowEmbedding:
            features = self.vision.encode_clip(self.vision.gather(window))
            start, end = float(window.times[0]), float(window.times[-1])
            return WindowEmbedding(start, end, self.vision.predict(features, asked))

        with self.open(source) as frames:
            for image, time in frames:
                if count and time < window.times[-1]:  # the clock was set back
                    if not seen:
                        yield embed()
                    window.clear()
                    count = 0
                window.push(self.vision.encode_frame(self.vision.prepare(image)), time)
                count += 1
                seen = count >= video.window and (count - video.window) % step == 0
                if seen:
                    yield embed()
                if seen and frames.live:
                    break
        if not seen:
            yield embed()

    def open(self, source: Any, *, live: bool | None = None) -> Source:
        """The frames of a source at the model's size and rate. Raises VideoError, or FrameError for a bad array."""
        video = self.manifest.video
        return open_source(source, size=(video.width, video.height), resize=video.resize, fps=video.fps, live=live)

    # --- streams ---

    def open_stream(
        self,
        query: str | Sequence[str] | None = None,
        policy: str | Policy = "running-ward",
        *,
        live: bool = False,
        callback: Callable[[Event], object] | None = None,
        queue: int = 2,
        max_staleness: float = 2.0,
        gap: float | None = None,
    ) -> Stream:
        """A Stream to push frames into; see `vljepa_edge.streaming.stream.Stream` for the arguments."""
        from vljepa_edge.streaming.stream import Stream

        return Stream(
            self, query, policy, live=live, callback=callback, queue=queue, max_staleness=max_staleness, gap=gap
        )

    def stream(
        self,
        source: Any,
        query: str | Sequence[str] | None = None,
        policy: str | Policy = "running-ward",
        *,
        live: bool | None = None,
        queue: int = 2,
        max_staleness: float = 2.0,
        gap: float | None = None,
    ) -> EventReader:
        """Iterate over what happens in a source, as it happens: `for event in model.stream("clip.mp4"): ...`.

        Files are read as fast as the model can; cameras and RTSP (or `live=True`) as they come, latest frame first.
        `queue`, `max_staleness` and `gap` are those of `vljepa_edge.streaming.stream.Stream`. The result also has
        stats() and close(); leaving the loop early closes the source.
        """
        from vljepa_edge.streaming.reader import EventReader

        opened = self.open(source, live=live)
        try:
            return EventReader(
                opened,
                partial(self.open_stream, query, policy, queue=queue, max_staleness=max_staleness, gap=gap),
            )
        except BaseException:
            opened.close()
            raise

    # --- tasks ---

    def classify(self, source: Any, labels: Sequence[str], query: str | None = None) -> list[Score]:
        """Open-vocabulary classification of a video or image; see `vljepa_edge.tasks.classify`."""
        from vljepa_edge.tasks.classify import classify

        return classify(self, source, labels, query)

    def answer(self, source: Any, question: str, candidates: Sequence[str] | None = None) -> Answer:
        """Answer a question about a video or image; see `vljepa_edge.tasks.answer`."""
        from vljepa_edge.tasks.answer import answer

        return answer(self, source, question, candidates)

    def transition(self, before: Any, after: Any, candidates: Sequence[Any]) -> list[Score]:
        """Which candidate clip leads from one image to another; see `vljepa_edge.tasks.transition`."""
        from vljepa_edge.tasks.transition import transition

        return transition(self, before, after, candidates)
