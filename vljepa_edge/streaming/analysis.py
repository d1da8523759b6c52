"""The work on the frames of a stream: each is encoded, and at a hop the policies are asked and text is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vljepa_edge._core import Pace
from vljepa_edge.perception.window_encoder import WindowEncoder
from vljepa_edge.streaming.emitter import Emitter
from vljepa_edge.streaming.heads import Taught
from vljepa_edge.streaming.latency import Latencies
from vljepa_edge.streaming.listeners import Listeners, Output
from vljepa_edge.streaming.stats import Tally
from vljepa_edge.streaming.track import Cut, Track
from vljepa_edge.streaming.watch import Sighting, Watch
from vljepa_edge.support.ending import native

if TYPE_CHECKING:
    from vljepa_edge.perception.labels import Labels
    from vljepa_edge.perception.text import Query
    from vljepa_edge.perception.together import Look
    from vljepa_edge.perception.vision import Asked, Vision
    from vljepa_edge.streaming.options import FilledOptions


class Item(NamedTuple):
    """A frame on its way: the image, its time, and when (perf_counter) push was called and had admitted it.

    number counts the admitted frames; stretch counts the gaps and restarts before it, life the resets.
    """

    image: NDArray[np.uint8]
    time: float
    called: float
    admitted: float
    number: int
    stretch: int
    life: int


class Analysis:
    """Frames in, events and embeddings out. Not for use from several threads at once: the stream's lock sees to it.

    waiting: how many frames wait behind the one in work, where a worker takes them; None where push() does the work.
    """

    def __init__(
        self,
        vision: Vision,
        options: FilledOptions,
        emitter: Emitter,
        listeners: Listeners,
        tally: Tally,
        latencies: Latencies,
        waiting: Callable[[], int] | None,
    ) -> None:
        video = vision.video
        self.tracks: list[Track] = []
        self.watch: Watch[Labels] | None = None
        self.heads: list[Watch[Taught]] = []
        self.last: float | None = None  # time of the newest frame
        self.pace = Pace(1 / video.fps, min(options.max_staleness, options.queue / video.fps) / 2)
        self._vision = vision
        self._emitter = emitter
        self._listeners = listeners
        self._tally = tally
        self._latencies = latencies
        self._waiting = waiting
        self._hop = options.hop
        self._half_period = 0.5 / video.fps
        self._window_length = video.window / video.fps
        self._encoder = WindowEncoder(vision, cuts=True, max_idle=options.max_idle, still=options.still)
        self._size: tuple[int, ...] | None = None
        self._hopped: float | None = None  # time of the last hop
        self._hop_begun: float | None = None  # when (perf_counter) the hop in work began
        self._encoded = 0  # number of the newest frame
        self._current_stretch = 0

    def take(self, item: Item, output: Output) -> None:
        """Take one frame, and count it. Raises the first error of a graph, a policy or decoding, once all is done."""
        try:
            with native:
                self._step(item, output)
        except BaseException:
            self._tally.add("errors")
            raise
        self._tally.add("encoded")

    def _step(self, item: Item, output: Output) -> None:
        """Take one frame: resize and encode it, and at a hop predict, decide and decode."""
        begun = perf_counter()
        self._follow_clock(item, output)
        clocked = perf_counter()
        frame = self._vision.prepare(item.image)
        scaled = perf_counter()
        spent = {"scale": scaled - clocked + item.admitted - item.called}
        if self._waiting is not None:
            spent["queue"] = begun - item.admitted
        runs = self._encoder.runs
        look = self._look(frame, item.time, begun - item.admitted, scaled - clocked, spent)
        made = self._vision.together.run(look)
        if made is not None:
            failures: list[Exception] = []
            cuts, sightings, happened = self._decide(made, item.time, spent, output, failures)
            spent["hop"] = perf_counter() - clocked + item.admitted - item.called
            spent["overhead"] = spent["hop"] - spent["scale"] - spent["encode"] - spent["predict"]
            self._tally.add("hops")
        idle = self._encoder.runs == runs
        if made is not None and idle:
            self._tally.add("hops_idle")
        milliseconds = {stage: 1e3 * seconds for stage, seconds in spent.items()}
        self._latencies.record({s: value for s, value in milliseconds.items() if not idle or s in ("scale", "queue")})
        if made is not None:
            self._emitter.emit_sightings(sightings, item.time, item.called, milliseconds, output)
            self._emitter.emit_happened(happened, item.time, item.called, milliseconds, output)
            self._emitter.emit(cuts, item.time, item.called, milliseconds, output)
            if failures:
                raise failures[0]

    def _look(
        self, frame: NDArray[np.uint8], time: float, waited: float, scaling: float, spent: dict[str, float]
    ) -> Look[Asked, dict[Query, NDArray[np.float32]] | None]:
        """Encode a frame, which waited and was scaled for so many seconds; at a hop what is predicted for all queries,
        None at others. Other streams' looks go on meanwhile, so this does nothing else."""
        begun, runs = perf_counter(), self._encoder.runs
        yield from self._encoder.pushing(frame, time)
        if self._encoder.runs == runs:
            self._tally.add("still")
        spent["encode"] = perf_counter() - begun
        self.last = time
        if not self._is_hop(time, waited, scaling + spent["encode"]):
            return None
        self._hopped = time
        self._hop_begun = encoding = perf_counter()
        yield from self._encoder.looking()
        if self.heads:
            yield from self._encoder.pooling()
        predicting = perf_counter()
        spent["encode"] += predicting - encoding
        queries = [track.query for track in self.tracks]
        if self.watch is not None and self._watched_query(self.watch) not in queries:
            queries.append(self._watched_query(self.watch))
        found = yield from self._encoder.asking(queries)
        spent["predict"] = perf_counter() - predicting
        return dict(zip(queries, found, strict=True))

    def _is_hop(self, time: float, waited: float, spent: float) -> bool:
        """Whether a hop is due at a frame, which waited and was encoded for so many seconds, and can be afforded."""
        is_due = self._hopped is None or time - self._hopped > self._hop - self._half_period
        if self._waiting is None:
            return is_due
        self.pace.note_frame(spent)
        can_hop = self.pace.can_hop(waited, self._waiting())
        if is_due and not can_hop:
            self._tally.add("hops_put_off")
        return is_due and can_hop

    def _follow_clock(self, item: Item, output: Output) -> None:
        """Notice gaps, restarts of the clock, lost frames and new frame sizes."""
        size = item.image.shape[:2]
        if self._size is not None and size != self._size:
            self._tally.add("resized")
        self._size = size
        breaks, self._current_stretch = item.stretch != self._current_stretch, item.stretch
        lost, self._encoded = item.number - self._encoded - 1, item.number
        if self.last is None:
            return
        if breaks:
            self._start_again(self.last, max(self.last, item.time), output)
            return
        self._tally.add("seconds", item.time - self.last)
        if lost and item.time - self.last > self._window_length:
            self._encoder.clear()  # nothing in it belongs beside this frame

    def _start_again(self, last: float, decided_at: float, output: Output) -> None:
        """Clear the window and close the open segments at the last frame; the next one may have any time."""
        self.last = self._hopped = None
        self._encoder.clear()
        try:
            self.end_all(last, decided_at, output)
        finally:
            for track in self.tracks:
                track.restart_clock()
            for watch in self._watches():
                watch.restart_clock()

    def _decide(
        self,
        made: Mapping[Query, NDArray[np.float32]],
        time: float,
        spent: dict[str, float],
        output: Output,
        failures: list[Exception],
    ) -> tuple[list[tuple[Track, Cut]], list[Sighting], list[Sighting]]:
        """Ask the policies about what was predicted for each query.

        Returns cuts, sightings of labels, and of taught events."""
        predicted = perf_counter()
        since = float(self._encoder.times[0])
        cuts = _ask(self.tracks, lambda track: track.push(made[track.query], time, since), failures)
        watch = self.watch
        sightings = [] if watch is None else watch.push(made[self._watched_query(watch)], time, since)
        happened = self._recognise(time)
        spent["policy"] = perf_counter() - predicted
        if self._listeners.wants_embeddings:
            output.embeddings += [(time, made[track.query], track.query.text) for track in self.tracks]
        return cuts, sightings, happened

    def _recognise(self, time: float) -> list[Sighting]:
        """Ask the heads; what began and what ended. The features were made with those of the predictor."""
        if not self.heads:
            return []
        row, since = self._encoder.pooled(), float(self._encoder.pooled_times[0])
        return [sighting for head in self.heads for sighting in head.push(row, time, since)]

    def _watches(self) -> list[Watch[Any]]:
        return [*self.heads, *([] if self.watch is None else [self.watch])]

    def _watched_query(self, watch: Watch[Labels]) -> Query:
        """What the predictor is asked for what is watched: the query of a track with the same text, or one more."""
        asked = watch.labels.asked
        return next((track.query for track in self.tracks if track.query.text == asked.text), asked)

    def end_all(self, last: float, decided_at: float, output: Output) -> None:
        """Close all open segments, and let go what is seen. Arguments and errors are those of end_segments()."""
        self.end_watch(last, decided_at, output)
        self.end_heads(self.heads, last, decided_at, output)
        self.end_segments(self.tracks, last, decided_at, output)

    def end_watch(self, last: float, decided_at: float, output: Output) -> None:
        """What is seen of the labels watched for is gone. Arguments are those of end_segments()."""
        if self.watch is not None:
            self._emitter.emit_sightings(self.watch.end(last), decided_at, perf_counter(), {}, output)

    def end_heads(self, heads: Iterable[Watch[Taught]], last: float, decided_at: float, output: Output) -> None:
        """The events of some heads that have begun end. Arguments are those of end_segments()."""
        happened = [sighting for head in heads for sighting in head.end(last)]
        self._emitter.emit_happened(happened, decided_at, perf_counter(), {}, output)

    def end_segments(self, tracks: Sequence[Track], last: float, decided_at: float, output: Output) -> None:
        """Close the open segments of `tracks` at `last`, the time of a frame. Raises as take() does."""
        begun = perf_counter()
        failures: list[Exception] = []
        with native:
            cuts = _ask(tracks, lambda track: track.end(last), failures)
            self._emitter.emit(cuts, decided_at, begun, {}, output)
        if failures:
            raise failures[0]

    def note_hop(self) -> None:
        """Tell the pace how long the hop took that has just been delivered, if there was one."""
        if self._hop_begun is not None:
            self.pace.note_hop(perf_counter() - self._hop_begun)
            self._hop_begun = None

    def reset(self) -> None:
        """Forget frames and segments. The tracks stay."""
        self.last = self._size = self._hopped = None
        self._encoder.clear()
        self.pace.restart()
        for track in self.tracks:
            track.reset()
        for watch in self._watches():
            watch.reset()


def _ask(
    tracks: Iterable[Track], ask: Callable[[Track], list[Cut]], failures: list[Exception]
) -> list[tuple[Track, Cut]]:
    """The cuts of each track's policy. One that fails, as a policy in Python may, costs the others nothing."""
    cuts: list[tuple[Track, Cut]] = []
    for track in tracks:
        try:
            cuts += [(track, cut) for cut in ask(track)]
        except Exception as error:
            failures.append(error)
    return cuts
