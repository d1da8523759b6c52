"""Model: a bundle on an engine. It is immutable: one Model serves many streams and threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.engines import Precision, open_engine
from vljepa_edge.perception.perception import Perception

if TYPE_CHECKING:
    from vljepa_edge.perception.head import Head
    from vljepa_edge.streaming.async_reader import AsyncEventReader
    from vljepa_edge.streaming.event import Event
    from vljepa_edge.streaming.options import Decode, StreamOptions
    from vljepa_edge.streaming.policy import Policy
    from vljepa_edge.streaming.reader import EventReader
    from vljepa_edge.streaming.stream import Stream
    from vljepa_edge.tasks.answer import Answer
    from vljepa_edge.tasks.classify import Score
    from vljepa_edge.tasks.clips import Clip
    from vljepa_edge.video.source import SourceLike


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


class Model(Perception):
    """Perception (embeddings of videos, images and texts) with streams and tasks: all that one bundle does.

    It is immutable: one Model serves many streams and threads. A `source` is what Perception says it is.
    """

    # --- streams ---

    def open_stream(
        self,
        query: str | Sequence[str] | None = None,
        policy: str | Policy | None = None,
        *,
        live: bool = False,
        callback: Callable[[Event], object] | None = None,
        options: StreamOptions | None = None,
        hop: float | None = None,
        queue: int | None = None,
        max_staleness: float | None = None,
        gap: float | None = None,
        decode: Decode | None = None,
        max_idle: float | None = None,
        min_confidence: float | None = None,
        reuse: float | None = None,
        still: float | None = None,
    ) -> Stream:
        """A Stream to push frames into; see `vljepa_edge.Stream` for `query`, `live` and `callback`.

        `options` are those of `vljepa_edge.StreamOptions`; `policy`, `hop` and what follows it replace one of
        them. Raises InputError for a value that is not allowed.
        """
        from vljepa_edge.streaming.options import as_options
        from vljepa_edge.streaming.stream import Stream

        chosen = as_options(options).changed(
            policy=policy, hop=hop, queue=queue, max_staleness=max_staleness, gap=gap, decode=decode,
            max_idle=max_idle, min_confidence=min_confidence, reuse=reuse, still=still,
        )  # fmt: skip
        return Stream(self, query, chosen, live=live, callback=callback)

    def stream(
        self,
        source: SourceLike,
        query: str | Sequence[str] | None = None,
        policy: str | Policy | None = None,
        *,
        live: bool | None = None,
        options: StreamOptions | None = None,
        hop: float | None = None,
        queue: int | None = None,
        max_staleness: float | None = None,
        gap: float | None = None,
        decode: Decode | None = None,
        max_idle: float | None = None,
        min_confidence: float | None = None,
        reuse: float | None = None,
        still: float | None = None,
    ) -> EventReader:
        """Iterate over what happens in a source, as it happens: `for event in model.stream("clip.mp4"): ...`.

        Files are read as fast as the model can; cameras and RTSP (or `live=True`) as they come, latest frame first.
        A Source, such as `open` gives, is taken as it was opened. `options` and the arguments after it are those of
        `open_stream`. The result also has stats() and close(); leaving the loop early closes the source.
        """
        from vljepa_edge.streaming.options import as_options
        from vljepa_edge.streaming.reader import EventReader
        from vljepa_edge.streaming.stream import Stream
        from vljepa_edge.video.source import Source

        chosen = as_options(options).changed(
            policy=policy, hop=hop, queue=queue, max_staleness=max_staleness, gap=gap, decode=decode,
            max_idle=max_idle, min_confidence=min_confidence, reuse=reuse, still=still,
        )  # fmt: skip
        opened = source if isinstance(source, Source) else self.open(source, live=live)
        try:
            return EventReader(opened, partial(Stream, self, query, chosen))
        except BaseException:
            opened.close()
            raise

    def astream(
        self,
        source: SourceLike,
        query: str | Sequence[str] | None = None,
        policy: str | Policy | None = None,
        *,
        live: bool | None = None,
        options: StreamOptions | None = None,
        hop: float | None = None,
        queue: int | None = None,
        max_staleness: float | None = None,
        gap: float | None = None,
        decode: Decode | None = None,
        max_idle: float | None = None,
        min_confidence: float | None = None,
        reuse: float | None = None,
        still: float | None = None,
    ) -> AsyncEventReader:
        """`stream` for asyncio: `async for event in model.astream("clip.mp4"): ...`, with the same arguments.

        A thread of its own opens the source, reads it and runs the model, so the loop is never blocked. What is wrong
        with the source or the query is raised when the first event is asked for, InputError for an option at once.
        """
        from vljepa_edge.streaming.async_reader import AsyncEventReader
        from vljepa_edge.streaming.options import as_options

        chosen = as_options(options).changed(
            policy=policy, hop=hop, queue=queue, max_staleness=max_staleness, gap=gap, decode=decode,
            max_idle=max_idle, min_confidence=min_confidence, reuse=reuse, still=still,
        )  # fmt: skip
        return AsyncEventReader(partial(self.stream, source, query, live=live, options=chosen))

    # --- tasks ---

    def classify(
        self,
        source: SourceLike,
        labels: Iterable[str],
        query: str | None = None,
        *,
        report: Callable[[int, int], object] | None = None,
    ) -> list[Score]:
        """Open-vocabulary classification of a video or image; see `vljepa_edge.tasks.classify`."""
        from vljepa_edge.tasks.classify import classify

        return classify(self, source, labels, query, report)

    def answer(
        self,
        source: SourceLike,
        question: str,
        candidates: Iterable[str] | None = None,
        *,
        report: Callable[[int, int], object] | None = None,
        min_confidence: float | None = None,
    ) -> Answer:
        """Answer a question about a video or image; see `vljepa_edge.tasks.answer`."""
        from vljepa_edge.tasks.answer import answer

        return answer(self, source, question, candidates, report, min_confidence)

    def teach(
        self,
        clips: Mapping[str, Iterable[SourceLike | Clip]],
        *,
        report: Callable[[int, int], object] | None = None,
    ) -> Head:
        """A head that knows the events of `clips`, label -> about ten clips each; see `vljepa_edge.tasks.teach`."""
        from vljepa_edge.tasks.teach import teach

        return teach(self, clips, report=report).head

    def transition(self, before: SourceLike, after: SourceLike, candidates: Iterable[SourceLike]) -> list[Score]:
        """Which candidate clip leads from one image to another; see `vljepa_edge.tasks.transition`."""
        from vljepa_edge.tasks.transition import transition

        return transition(self, before, after, candidates)
