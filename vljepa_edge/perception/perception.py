"""Perception: a bundle on an engine, which turns videos, images and texts into embeddings of one space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.engines import compile_all
from vljepa_edge.errors import InputError, ProcessError
from vljepa_edge.perception.confidence import Confidence
from vljepa_edge.perception.finite import unit
from vljepa_edge.perception.labels import Labels, LabelsLike, read_labels
from vljepa_edge.perception.text import Text, read_tokenizers
from vljepa_edge.perception.vision import Vision
from vljepa_edge.perception.window_encoder import WindowEncoder
from vljepa_edge.support.arguments import as_whole, shown
from vljepa_edge.video.source import open_source

if TYPE_CHECKING:
    from vljepa_edge.bundle.manifest import Manifest, VideoEntry
    from vljepa_edge.bundle.store import Bundle
    from vljepa_edge.engines.base import Engine
    from vljepa_edge.video.packets import PacketRing
    from vljepa_edge.video.source import Source, SourceLike, Tap


T = TypeVar("T")


class WindowEmbedding(NamedTuple):
    """The embedding [E] of one window; `start` and `end` are the times of its first and last frame, seconds."""

    start: float
    end: float
    embedding: NDArray[np.float32]


def as_model(value: object) -> Perception:
    """A Perception, such as a Model. Raises InputError."""
    if not isinstance(value, Perception):
        raise InputError(f"model must be a Model, got {shown(value)}")
    return value


def open_at(
    video: VideoEntry,
    source: SourceLike,
    *,
    live: bool | None = None,
    tap: Tap | None = None,
    ring: PacketRing | None = None,
) -> Source:
    """The frames of a source at the size and rate that a manifest asks for. Raises as Perception.open does; for `tap`
    and `ring` see `open_source`."""
    size = (video.width, video.height)
    return open_source(source, size=size, resize=video.resize, fps=video.fps, live=live, tap=tap, ring=ring)


class Perception:
    """A bundle whose graphs are compiled on an engine. It is immutable: one serves many streams and threads.

    A `source`, wherever a method takes one, is the path of a video or image, an RTSP URL, a camera ("camera:0"), one
    image array, arrays at the model's frame rate, or an iterable of (array, seconds). Arrays are uint8: RGB, RGBA or
    grey.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.bundle = bundle
        self.engine = engine.name
        self.precision = engine.precision
        with ThreadPoolExecutor(1, thread_name_prefix="tokenizers") as beside:  # graphs compile outside of Python
            tokenizers = beside.submit(read_tokenizers, bundle)
            self.graphs = compile_all(engine, bundle)  # by role
        self.text = Text(bundle.manifest, self.graphs, tokenizers.result())
        self.vision = Vision(bundle.manifest, self.graphs)
        self.confidence = Confidence(bundle)

    @property
    def manifest(self) -> Manifest:
        """What the bundle says about itself."""
        return self.bundle.manifest

    @property
    def arithmetic(self) -> str:
        """What embeddings depend on beside the bundle: the engine and, where it is not f32, its precision."""
        return self.engine if self.precision == "f32" else f"{self.engine} {self.precision}"

    def __reduce__(self) -> NoReturn:
        raise ProcessError(
            "a model can't be pickled or copied: its compiled graphs belong to this process; "
            "load it in each worker process, once: vljepa_edge.load(path, threads=...)"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.manifest.name} {self.manifest.version}, {self.engine})"

    def open(self, source: SourceLike, *, live: bool | None = None) -> Source:
        """The frames of a source at the model's size and rate. Raises VideoError, or FrameError for a bad array."""
        return open_at(self.manifest.video, source, live=live)

    def embed_text(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Target embeddings (Y-encoder) of texts, in their order: float32 [N, E], unit norm; no texts give (0, E).

        Raises InputError for one text that is not in a list, and for an empty one; EngineError when a graph fails.
        """
        return self.text.embed(texts)

    def labels(self, labels: LabelsLike) -> Labels:
        """Which of some labels are there, each for itself; see `vljepa_edge.perception.labels`.

        labels: a list of texts, or a mapping from each to the text or texts that stand for it (None: chosen inside).
        Raises InputError for no labels, more than 1,000, or an empty, overlong or repeated one.
        """
        return Labels(self.text, self.manifest, read_labels(labels))

    def decode_text(self, embedding: NDArray[np.float32]) -> str:
        """The text that an embedding [E] stands for (Y-decoder, greedy)."""
        return self.text.decode(embedding)

    def embed_video(self, source: SourceLike, query: str | None = None) -> NDArray[np.float32]:
        """One embedding [E], unit norm, of a complete video or image: the mean over full windows that overlap by half.

        The windows keep the model's frame rate, so motion looks as it did in training. A source that is shorter than a
        window fills it by repeating its first frame (an image: all of it, as in section 3.1 of the paper). A camera or
        RTSP URL has no end: the first full window is looked at. Raises VideoError when there is no frame to see.
        """
        hop = max(1, self.manifest.video.window // 2)
        rows = [window.embedding for window in self.windows(source, query, hop=hop, full=True)]
        return unit("predictor", np.mean(rows, axis=0, dtype=np.float64))

    def embed_windows(
        self, source: SourceLike, query: str | None = None, *, hop: int | None = None, full: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """The end times [N] in seconds and embeddings [N, E] of all windows; see `windows`."""
        found = list(self.windows(source, query, hop=hop, full=full))
        return np.array([item.end for item in found]), np.stack([item.embedding for item in found])

    def windows(
        self, source: SourceLike, query: str | None = None, *, hop: int | None = None, full: bool = False
    ) -> Iterator[WindowEmbedding]:
        """Embed a window every `hop` frames (the manifest's hop when None), and one that ends at the last frame.

        These are the embeddings of a stream: the first window ends at the first frame, and the first frame fills the
        places before it, as the frame after a hard cut does. `full=True` gives windows of as many frames of their own,
        across hard cuts too, unless the source is shorter than a window. No window spans a time at which an iterable's
        clock goes back. A camera or RTSP URL has no end: it gives its first full window only, and `stream` watches on.
        Raises VideoError when the source has no frames.
        """
        step = self._step(hop)
        asked = self.text.query(self.manifest.text.default_query if query is None else query)

        def look(encoder: WindowEncoder) -> WindowEmbedding:
            embedding = encoder.embed(asked)
            return WindowEmbedding(float(encoder.times[0]), float(encoder.times[-1]), embedding)

        return self._look(source, WindowEncoder(self.vision, cuts=not full), step, full, look)

    def features(
        self, source: SourceLike, *, hop: int | None = None, full: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """The end times [N] in seconds of all windows and what the X-encoder makes of them, float32 [N, F].

        The windows are those of `windows`, but they span hard cuts: what a stream's heads see. F depends on the bundle:
        a row holds each stream that the predictor takes, as it is or pooled (see `vljepa_edge.perception.features`).
        The numbers have no unit and are not scaled. No query and no text has a part in them. Raises as `windows`
        does.
        """

        def look(encoder: WindowEncoder) -> tuple[float, NDArray[np.float32]]:
            return float(encoder.times[-1]), encoder.pooled()

        found = list(self._look(source, WindowEncoder(self.vision), self._step(hop), full, look))
        return np.array([time for time, _ in found]), np.stack([row for _, row in found])

    def _step(self, hop: int | None) -> int:
        return self.manifest.video.hop if hop is None else as_whole(hop, "hop", 1, unit=" frames")

    def _look(
        self, source: SourceLike, encoder: WindowEncoder, step: int, full: bool, look: Callable[[WindowEncoder], T]
    ) -> Iterator[T]:
        """`look` at the encoder at each window of a source."""
        count, seen = 0, True
        with self.open(source) as frames:
            # The frame, counted from 0, that the first window ends at.
            first = self.manifest.video.window - 1 if full or frames.live else 0
            for image, time in frames:
                if count and time < encoder.times[-1]:  # the clock was set back
                    if not seen:
                        yield look(encoder)
                    encoder.clear()
                    count = 0
                encoder.push(self.vision.prepare(image), time)
                seen = count >= first and (count - first) % step == 0
                count += 1
                if seen:
                    yield look(encoder)
                if seen and frames.live:
                    break
        if not seen:
            yield look(encoder)
