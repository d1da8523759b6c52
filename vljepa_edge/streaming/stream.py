"""Stream: frames in, events out. All state of a stream is here; the Model is shared."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

from numpy.typing import NDArray

from vljepa_edge.errors import InputError, ProcessError
from vljepa_edge.perception.head import Head
from vljepa_edge.perception.perception import as_model
from vljepa_edge.streaming.analysis import Analysis, Item
from vljepa_edge.streaming.emitter import Emitter
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.heads import watch_head
from vljepa_edge.streaming.latency import Latencies
from vljepa_edge.streaming.listeners import Callback, Listeners, Output, Subscriber
from vljepa_edge.streaming.options import StreamOptions, as_options
from vljepa_edge.streaming.policy import parse_policy
from vljepa_edge.streaming.queue import LatestQueue
from vljepa_edge.streaming.sampler import Sampler, Verdict
from vljepa_edge.streaming.stats import Stats, Tally
from vljepa_edge.streaming.track import Track
from vljepa_edge.streaming.watch import HOLD, WatchLike, read_watch
from vljepa_edge.support.arguments import as_list, as_number, as_text, shown
from vljepa_edge.support.ending import Worker, require_process, when_dropped
from vljepa_edge.video.preprocess import as_rgb

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception
    from vljepa_edge.streaming.policy import Policy


_LONGEST_WAIT = 60.0  # seconds; a bound for `gap=inf`


class Stream:
    """Push frames with their times, get an Event when a segment opens or closes.

    query     one question or several; each has a policy of its own, all share the vision features. None: the model's.
              [] asks nothing, for a stream that only watches
    options   when to look, cut and drop: see StreamOptions
    live      False: push() does the work and returns the new events. True: a worker does it; push() copies a frame that
              is due into a queue (a frame that is not due costs nothing) and returns []
    callback  called with each event: in push() or, live, on the worker. Its exceptions are counted, logged and kept in
              `last_error`; they don't stop the stream (SystemExit neither on the worker; elsewhere it is raised). No
              lock is held: it may call any method of the stream
    wake      called, as the callback is, when there are new events; it is not given them: who reads by poll() uses it

    Frames are sampled by their times at the model's rate (see Sampler). What is wrong with a time is counted (see
    Stats) and the frame is left out. An array that is no frame raises FrameError from push(), and a failing graph
    raises EngineError from push() or, live, is counted and kept in `last_error`; either way the stream goes on with
    the next frame. No segment is lost to it: when its text can't be decoded its event goes to poll() and the callback
    with an empty text, then the error is raised.

    A live stream that can't keep up leaves out hops first, and drops frames only where encoding alone takes too long
    (see Pace). When no frame comes for longer than `gap`, it reports a stall.

    Any thread may call any method, also while another closes the stream. A stream that is dropped without close(), or
    still open when the program ends, ends its worker by itself; frames that wait are dropped. A stream belongs to the
    process that opened it: in a forked child its methods raise ProcessError, and close() does nothing.
    """

    def __init__(
        self,
        model: Perception,
        query: str | Sequence[str] | None = None,
        options: StreamOptions | None = None,
        *,
        live: bool = False,
        callback: Callback | None = None,
        wake: Callable[[], object] | None = None,
    ) -> None:
        video = as_model(model).manifest.video
        filled = as_options(options).filled(video)
        self.model = model
        self.live = live
        self._pid = os.getpid()
        self._policy = filled.policy
        self._gap = filled.gap
        self._max_staleness = filled.max_staleness

        self._door = threading.RLock()  # admits frames; taken before _work
        self._work = threading.RLock()  # window, tracks, making events
        self._sampler = Sampler(video.fps, filled.gap)
        self._tally = Tally()
        self._listeners = Listeners(callback, self._tally, wake)
        self._latencies = Latencies()
        self._emitter = Emitter(model, filled, self._tally, self._latencies)
        self._admitted = 0  # number of the newest frame
        self._stretch = 0  # of the newest frame
        self._arrived = perf_counter()  # when the newest frame came, taken or not
        self._expects_frames = False  # whether silence would be a stall
        self._life = 0
        self._closed = False
        self._queue: LatestQueue[Item] | None = LatestQueue(filled.queue) if live else None
        self._analysis = Analysis(
            model.vision,
            filled,
            self._emitter,
            self._listeners,
            self._tally,
            self._latencies,
            None if self._queue is None else self._queue.__len__,
        )
        self._analysis.tracks = [self._track(text, self._policy) for text in self._texts(query)]
        if self._queue is not None:
            end = self._queue.close
            self._worker = Worker(_serve, weakref.ref(self), self._queue, name="vljepa-stream", stop=end)
            when_dropped(self, end)
            self._worker.start()

    # --- frames in ---

    def push(self, frame: NDArray[Any], time: float, *, copy: bool = True) -> list[Event]:
        """Give the stream a frame: uint8 (height, width, 3), grey or RGBA of any size, and its time in seconds.

        A live stream copies a frame that is due, which takes about a millisecond for 1080p and four for 4K. Where the
        array is new for each frame, `copy=False` hands it over: nobody may change it afterwards.

        Returns the new events (live: none, see poll() and the callback). Raises FrameError for an array that is no
        frame, InputError for a time that is no number or a closed stream, EngineError when a graph fails.
        """
        called = perf_counter()
        self._check_process()
        with self._returning() as output, self._door:
            self._check_open()
            self._tally.add("frames")
            self._arrived = called
            item = self._admit(frame, time, called, copy)
            if item is None:
                return []
            self._expects_frames = True
            if self._queue is not None:
                if self._queue.put(item):
                    self._tally.add("dropped")
                return []
            with self._work:
                self._analysis.take(item, output)
        return output.events

    def poll(self) -> list[Event]:
        """The events since the last poll(), oldest first, without waiting for the frame in work.

        The latest 256 are kept, and all that one call made. Stats.unpolled counts those of the others that no call has
        returned and no callback received.
        """
        self._check_process()
        return self._emitter.take()

    def flush(self) -> list[Event]:
        """Finish the frames pushed so far and close the open segments at the last frame. The stream can go on."""
        self._check_process()
        if self._queue is not None and threading.current_thread() is not self._worker:
            self._queue.join()
        with self._returning() as output, self._work:
            self._check_open()
            self._expects_frames = False
            if self._analysis.last is not None:
                self._analysis.end_all(self._analysis.last, self._analysis.last, output)
        return output.events

    def reset(self) -> None:
        """Forget frames, segments, events not polled and counts, as if just opened. Queries, labels, heads and
        subscribers stay."""
        self._check_process()
        with self._door, self._work:
            self._check_open()
            self._life += 1
            if self._queue is not None:
                self._queue.clear()
            self._sampler.restart()
            self._analysis.reset()
            self._emitter.take()
            self._expects_frames = False
            self._tally.clear()
            self._latencies.clear()
            self._listeners.last_error = None

    def close(self) -> None:
        """Stop, dropping what waits; call flush() first to have the last segment closed. Events stay to be polled.

        Waits for calls of other threads that are at work. Can be called twice, and in a callback.
        """
        if os.getpid() != self._pid:
            return
        self._closed = True
        if self._queue is not None:
            self._tally.add("dropped", self._queue.close())
            if threading.current_thread() is not self._worker:
                self._worker.join()
        with self._door, self._work:
            pass

    def __reduce__(self) -> NoReturn:
        raise ProcessError("a stream can't be pickled or copied; load a model and open a stream in each process")

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- queries and listeners ---

    @property
    def queries(self) -> tuple[str, ...]:
        """The queries asked at every hop."""
        return tuple(track.query.text for track in self._analysis.tracks)

    def set_query(self, query: str | Sequence[str]) -> list[Event]:
        """Ask this instead, from the next hop on. The open segments close at the last frame; returns those events."""
        self._check_process()
        asked = [self._track(text, self._policy) for text in self._texts(query)]
        return self._change(lambda tracks: asked)

    def set_policy(self, policy: str | Policy) -> list[Event]:
        """Cut by this policy, every query, from the next hop on. The open segments close at the last frame; returns
        those events. Raises InputError for what is no policy, and a closed stream."""
        self._check_process()
        chosen = parse_policy(policy)

        def change(tracks: list[Track]) -> list[Track]:
            self._policy = chosen
            return [self._track(track.query.text, chosen) for track in tracks]

        return self._change(change)

    @property
    def policy(self) -> Policy:
        """When queries are cut, but those that were added with a policy of their own."""
        return self._policy

    @property
    def changes(self) -> dict[str, float]:
        """How much changed at the newest hop, by each query's policy's own measure; 0 before the first hop."""
        return {track.query.text: track.change for track in self._analysis.tracks}

    def add_query(self, query: str, policy: str | Policy | None = None) -> None:
        """Ask this too, from the next hop on, with a policy of its own if given."""
        self._check_process()
        chosen = self._policy if policy is None else parse_policy(policy)
        added = self._track(as_text(query, "query"), chosen)

        def change(tracks: list[Track]) -> list[Track]:
            if any(track.query.text == query for track in tracks):
                raise InputError(f"the query {shown(query)} is asked already")
            return [*tracks, added]

        self._change(change)

    def remove_query(self, query: str) -> list[Event]:
        """Ask this no more. Its open segment closes at the last frame; returns that event."""
        text = as_text(query, "query")

        def change(tracks: list[Track]) -> list[Track]:
            kept = [track for track in tracks if track.query.text != text]
            if not kept or len(kept) == len(tracks):
                raise InputError(f"can't remove the query {shown(query)}; of {shown(self.queries)} one must stay")
            return kept

        self._check_process()
        return self._change(change)

    def watch(self, labels: WatchLike, hold: float = HOLD) -> list[Event]:
        """Report from the next hop on when one of these labels comes into the picture and when it leaves, by events
        "appeared" and "gone". They replace those before, of which what is seen is gone now; returns these events.

        labels: a list such as ["cup", "a person"], or a mapping from each to the probability at which it appears (it
        is gone below two thirds of that), or to the text or texts that stand for it; None or ... where both are chosen
        inside. No labels: nothing is watched for any more. hold: seconds that a label must be seen before it has
        appeared, and must not be seen before it is gone.

        All labels together cost one more pass of the predictor a hop, or none where the stream asks the same query.
        What is still seen when the stream is flushed, stalls, or jumps in time is gone with its last frame. Raises
        InputError for labels that Model.labels would refuse, a threshold or a `hold` that is no number within bounds,
        and a closed stream.
        """
        self._check_process()
        watch = read_watch(self.model, labels, hold)
        with self._returning() as output, self._work:
            self._check_open()
            if self._analysis.last is not None:
                self._analysis.end_watch(self._analysis.last, self._analysis.last, output)
            self._analysis.watch = watch
        return output.events

    @property
    def watched(self) -> tuple[str, ...]:
        """The labels watched for."""
        watch = self._analysis.watch
        return () if watch is None else watch.labels.names

    @property
    def seen(self) -> dict[str, float]:
        """The labels that have appeared and are not gone, each with its largest probability so far."""
        watch = self._analysis.watch
        return {} if watch is None else watch.seen

    @property
    def happening(self) -> dict[str, float]:
        """The taught events that have begun and not ended, each with its largest probability so far."""
        return {name: peak for watch in self._analysis.heads for name, peak in watch.seen.items()}

    def add_head(self, head: Head, *, hold: float = HOLD) -> None:
        """Report from the next hop on when the events of a head begin and end, by events "began" and "ended".

        hold: seconds that an event must be seen before it has begun, and must not be seen before it has ended. The head
        reads features that the stream has anyway; only within a window's length after a hard cut clip graphs run once
        more. What has begun ends with the last frame when the stream is flushed, stalls, or jumps in time.

        Raises HeadError for a head of another X-encoder, InputError for what is no head, one that is there already or
        has an event of one that is, a `hold` that is no number of seconds from 0 to 86400, and a closed stream.
        """
        self._check_process()
        if not isinstance(head, Head):
            raise InputError(f"head must be a Head, got {shown(head)}")
        head.check_encoder(self.model)
        watch = watch_head(head, hold)
        with self._work:
            self._check_open()
            known = {name for other in self._analysis.heads for name in other.labels.names}
            twice = [name for name in head.events if name in known]
            if twice:
                raise InputError(f"a head of this stream has the event {shown(twice[0])} already")
            self._analysis.heads = [*self._analysis.heads, watch]

    def remove_head(self, head: Head) -> list[Event]:
        """Report its events no more. Those that have begun end at the last frame; returns these events.

        Raises InputError for a head that the stream does not have.
        """
        self._check_process()
        with self._returning() as output, self._work:
            self._check_open()
            removed = [watch for watch in self._analysis.heads if watch.labels.head is head]
            if not removed:
                raise InputError(f"this stream has no such head, got {shown(head)}")
            self._analysis.heads = [watch for watch in self._analysis.heads if watch.labels.head is not head]
            if self._analysis.last is not None:
                self._analysis.end_heads(removed, self._analysis.last, self._analysis.last, output)
        return output.events

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads whose events are reported."""
        return tuple(watch.labels.head for watch in self._analysis.heads)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call subscriber(time of the newest frame, embedding, query) at every hop, before its events; returns an undo.

        The embedding is float32 [E], unit norm, read-only. Exceptions are handled as the callback's are.
        """
        return self._listeners.subscribe(subscriber)

    @property
    def last_error(self) -> BaseException | None:
        """The latest error that was counted but not raised: of a callback, a subscriber or, live, of a frame."""
        return self._listeners.last_error

    def stats(self) -> Stats:
        """Counts and latencies so far."""
        self._check_process()
        return self._tally.stats(self._latencies.summary())

    # --- the work ---

    @contextmanager
    def _returning(self) -> Iterator[Output]:
        """For a call that returns the events of its output: they are delivered at its end, also when it raises."""
        output = Output(received=True)
        try:
            yield output
        except BaseException:
            output.received = self._listeners.take_events
            raise
        finally:
            self._listeners.deliver(output)

    def _admit(self, frame: NDArray[Any], time: float, called: float, copy: bool) -> Item | None:
        """Count the frame out, or make it ready: RGB, and in live streams the stream's own copy if `copy`."""
        try:
            seconds = as_number(time, "time", " of seconds")
        except InputError:
            self._tally.add("bad_times")
            raise
        verdict = self._sampler.judge(seconds)
        if verdict in (Verdict.RESTART, Verdict.GAP):
            self._tally.add(verdict.value)
            self._stretch += 1
        elif verdict is not Verdict.DUE:
            self._tally.add(verdict.value)
            return None
        try:
            image = as_rgb(frame)
        except Exception:
            self._tally.add("errors")
            raise
        if self.live and copy and (image is frame or image.base is not None):
            image = image.copy()
        self._sampler.take(seconds)
        self._admitted += 1
        return Item(image, seconds, called, perf_counter(), self._admitted, self._stretch, self._life)

    def _work_on(self, item: Item) -> None:
        """The worker's step: as push() does it, but nothing is raised, not even SystemExit: it would end the worker."""
        output = Output(received=self._listeners.take_events)
        with self._work:
            if self._queue is not None and not self._analysis.pace.keeps_up:
                item, dropped = self._queue.newest(item)
                self._tally.add("dropped", dropped)
            if item.life == self._life:
                if self._closed:
                    self._tally.add("dropped")
                elif perf_counter() - item.admitted > self._max_staleness:
                    self._tally.add("stale")
                else:
                    try:
                        self._analysis.take(item, output)
                    except BaseException as error:
                        self._listeners.note("a live stream failed on a frame", error)
        self._listeners.deliver(output, caught=BaseException)
        self._analysis.note_hop()

    def _report_silence(self) -> float:
        """The worker's step when nothing waits: report a stall when it is time. Returns the seconds to wait at most."""
        silent = perf_counter() - self._arrived
        if not self._expects_frames or silent < self._gap:
            return self._gap if not self._expects_frames else self._gap - silent
        output = Output(received=self._listeners.take_events)
        with self._work:
            if self._expects_frames and not self._closed and self._analysis.last is not None:
                self._expects_frames = False
                self._tally.add("stalls")
                decided_at = self._analysis.last + silent
                try:
                    self._analysis.end_all(self._analysis.last, decided_at, output)
                except BaseException as error:
                    self._listeners.note("a live stream failed at a stall", error)
                self._emitter.emit_stall(self._analysis.last, decided_at, output)
        self._listeners.deliver(output, caught=BaseException)
        return self._gap

    # --- queries ---

    def _texts(self, query: str | Sequence[str] | None) -> list[str]:
        return [self.model.manifest.text.default_query] if query is None else read_queries(query)

    def _track(self, text: str, policy: Policy) -> Track:
        return Track(self.model.text.query(text), policy, self.model.manifest.embedding.width)

    def _change(self, change: Callable[[list[Track]], list[Track]]) -> list[Event]:
        """Replace the tracks by what `change` makes of them, under the lock; those that go close their segments."""
        with self._returning() as output, self._work:
            self._check_open()
            before = self._analysis.tracks
            self._analysis.tracks = change(before)
            removed = [track for track in before if track not in self._analysis.tracks]
            if self._analysis.last is not None:
                self._analysis.end_segments(removed, self._analysis.last, self._analysis.last, output)
        return output.events

    def _check_process(self) -> None:
        """To be called before a lock is taken: in a forked child another thread's lock stays locked."""
        require_process(self._pid, "this stream", "load a model and open a stream in each process")

    def _check_open(self) -> None:
        if self._closed:
            raise InputError("this stream is closed; open another with model.open_stream()")


def read_queries(query: object) -> list[str]:
    """One query or several as a list. Raises InputError for what is no text, and for one that comes twice."""
    if not isinstance(query, Iterable):
        raise InputError(f"query must be a text or a list of texts, got {shown(query)}")
    given = [query] if isinstance(query, str) else as_list(query, "query", "texts")
    texts = [as_text(text, "query") for text in given]
    if len(set(texts)) != len(texts):
        raise InputError(f"the queries of a stream must all differ, got {shown(texts)}")
    return texts


def _serve(stream: weakref.ref[Stream], queue: LatestQueue[Item]) -> None:
    """The worker of a live stream. It holds the stream only while it works, so that a forgotten stream can go."""
    patience = 0.0
    while True:
        item = queue.get(min(patience, _LONGEST_WAIT))
        target = stream()
        try:
            if target is None:
                return
            if item is not None:
                target._work_on(item)
            if queue.closed:
                return
            patience = 0.0 if len(queue) else target._report_silence()
        finally:
            del target
            queue.done()
