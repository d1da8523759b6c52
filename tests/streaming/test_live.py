"""A live stream never keeps the camera waiting, and says what it left out."""

from __future__ import annotations

import gc
import itertools
import logging
import math
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.streaming.scenes import BLUE, GREEN, RED, picture, scenes
from tests.streaming.test_stream import embeddings_of, facts, run
from tests.streaming.test_times import assert_adds_up
from tests.streaming.wrapped import WrappedEngine
from vljepa_edge import Stream, StreamOptions
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import EngineError, FrameError, InputError
from vljepa_edge.model import Model
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.queue import LatestQueue

pytestmark = pytest.mark.alone

IMAGE = picture(RED)


def slow_model(toy: Path, before: Callable[[str], None]) -> Model:
    return Model(Bundle.open(toy), WrappedEngine(before))


def held(toy: Path) -> tuple[Model, threading.Event, threading.Event]:
    """A model that waits in its frame graph: (model, set once it waits, set to let it go on)."""
    waits, go = threading.Event(), threading.Event()

    def before(name: str) -> None:
        if name == "x_encoder_appearance":
            waits.set()
            go.wait(10)

    return slow_model(toy, before), waits, go


def test_with_time_enough_it_gives_what_a_plain_stream_gives(model: Model) -> None:
    frames = list(scenes(RED, GREEN, BLUE))
    events: list[Event] = []
    with model.open_stream(
        policy="running-ward:threshold=0.2", live=True, queue=len(frames), callback=events.append
    ) as stream:
        for image, at in frames:
            assert stream.push(image, at) == []
        stream.flush()
        assert facts(stream.poll()) == facts(events)
    with model.open_stream(policy="running-ward:threshold=0.2") as plain:
        assert facts(run(plain, frames)) == facts(events)
    assert all("queue" in event.latency_ms for event in events[:-1])


def test_push_does_not_wait_for_the_model_and_the_latest_frames_win(toy: Path) -> None:
    model, waits, go = held(toy)
    with model.open_stream(live=True, queue=2) as stream:
        rows = embeddings_of(stream)
        stream.push(IMAGE, 0.0)
        assert waits.wait(5)
        spent = []
        for index in range(1, 50):
            begun = time.perf_counter()
            stream.push(IMAGE, index / 4)
            spent.append(time.perf_counter() - begun)
        go.set()
        stream.flush()
    assert np.median(spent) < 1e-3
    stats = stream.stats()
    assert (stats.encoded, stats.dropped) == (3, 47)
    assert [at for at, _ in rows] == [0.0, 12.0, 12.25]
    assert_adds_up(stats)


def test_poll_does_not_wait_for_the_model(toy: Path) -> None:
    model, waits, go = held(toy)
    go.set()
    with model.open_stream(live=True, max_idle=0) as stream:
        stream.push(IMAGE, 0.0)
        stream.flush()
        waits.clear()
        go.clear()
        stream.push(IMAGE, 0.25)
        assert waits.wait(5)
        polled: list[Event] = []
        polling = threading.Thread(target=lambda: polled.extend(stream.poll()))
        polling.start()
        polling.join(5)
        seen = [event.status for event in polled]
        go.set()
        polling.join()
    assert seen == ["open", "closed"]


def test_frames_that_waited_too_long_are_left_out(toy: Path) -> None:
    model, waits, go = held(toy)
    with model.open_stream(live=True, queue=4, max_staleness=0.05) as stream:
        stream.push(IMAGE, 0.0)
        assert waits.wait(5)
        stream.push(IMAGE, 0.25)
        stream.push(IMAGE, 0.5)
        time.sleep(0.1)
        go.set()
        stream.flush()
        stream.push(IMAGE, 0.75)
        stream.flush()
    assert (stream.stats().stale, stream.stats().encoded) == (2, 2)
    assert_adds_up(stream.stats())


def test_a_camera_may_reuse_its_buffer(model: Model) -> None:
    frames = list(scenes(RED, GREEN))
    buffer = np.empty_like(frames[0][0])
    with model.open_stream(live=True, queue=len(frames)) as stream, model.open_stream() as plain:
        rows, expected = embeddings_of(stream), embeddings_of(plain)
        for image, at in frames:
            buffer[:] = image
            stream.push(buffer, at)
        buffer[:] = 0
        stream.flush()
        run(plain, frames)
    for (_, row), (_, other) in zip(rows, expected, strict=True):
        np.testing.assert_array_equal(row, other)


def test_a_frame_that_is_handed_over_is_not_copied(toy: Path) -> None:
    model, waits, go = held(toy)
    frames = [np.full((48, 64, 3), index, np.uint8) for index in range(3)]
    with model.open_stream(live=True, queue=3) as stream:
        stream.push(IMAGE, 0.0)
        assert waits.wait(5)
        stream.push(frames[0], 0.25)
        stream.push(frames[1], 0.5, copy=False)
        stream.push(frames[2][::2], 0.75, copy=False)  # made contiguous, which is a copy
        assert stream._background is not None
        queue = stream._background.queue
        waiting = [item.image for _, item in queue._items]
        assert [np.shares_memory(image, frame) for image, frame in zip(waiting, frames, strict=True)] == [
            False,
            True,
            False,
        ]
        go.set()
        stream.flush()
    assert stream.stats().encoded == 4


def test_a_graph_that_fails_is_counted_and_shown_and_the_worker_goes_on(toy: Path) -> None:
    fail = threading.Event()

    def before(name: str) -> None:
        if fail.is_set() and name == "predictor":
            raise EngineError("out of order")

    with slow_model(toy, before).open_stream(live=True, max_idle=0) as stream:
        stream.push(IMAGE, 0.0)
        stream.flush()
        fail.set()
        stream.push(IMAGE, 0.25)
        stream.flush()
        assert str(stream.last_error) == "out of order"
        fail.clear()
        stream.push(IMAGE, 0.5)
        assert [event.status for event in stream.flush()] == ["closed"]
    assert (stream.stats().errors, stream.stats().encoded) == (1, 2)
    assert_adds_up(stream.stats())


def test_a_failed_frame_is_logged_with_no_lock_held(toy: Path) -> None:
    def before(name: str) -> None:
        if name == "predictor":
            raise EngineError("out of order")

    class Resets(logging.Handler):
        came_through: bool | None = None

        def emit(self, record: logging.LogRecord) -> None:
            other = threading.Thread(target=stream.reset, daemon=True)
            other.start()
            other.join(2)
            self.came_through = not other.is_alive()

    logger, handler = logging.getLogger("vljepa_edge"), Resets()
    logger.addHandler(handler)
    try:
        with slow_model(toy, before).open_stream(live=True) as stream:
            stream.push(IMAGE, 0.0)
            wait_for(lambda: handler.came_through is not None)
    finally:
        logger.removeHandler(handler)
    assert handler.came_through


def test_callbacks_run_on_the_worker_and_their_errors_do_no_harm(model: Model) -> None:
    threads: set[str] = set()

    def callback(event: Event) -> None:
        threads.add(threading.current_thread().name)
        raise RuntimeError("mine")

    with model.open_stream(policy="uniform:period=0.25", live=True, queue=8, callback=callback) as stream:
        for image, at in scenes(RED, seconds=2):
            stream.push(image, at)
        stream._background.queue.join()  # type: ignore[union-attr]
        assert stream.stats().callback_errors == 15
        assert stream.stats().encoded == 8
        assert str(stream.last_error) == "mine"
    assert threads == {"vljepa-stream"}


def test_neither_a_wake_nor_a_log_handler_that_raises_ends_the_worker(model: Model) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("the log's disk is full")

    def wake() -> None:
        raise RuntimeError("mine")

    handler, logger = Broken(), logging.getLogger("vljepa_edge")
    logger.addHandler(handler)
    try:
        options = StreamOptions(policy="uniform:period=0.25", queue=8)
        with Stream(model, options=options, live=True, wake=wake) as stream:
            for image, at in scenes(RED, seconds=2):
                stream.push(image, at)
            stream._background.queue.join()  # type: ignore[union-attr]
            assert stream.stats().encoded == 8
            assert stream.stats().callback_errors > 0 and str(stream.last_error) == "mine"
    finally:
        logger.removeHandler(handler)


@pytest.mark.parametrize("listener", ["callback", "subscriber"])
def test_a_listener_that_exits_does_not_end_the_worker(model: Model, listener: str) -> None:
    with model.open_stream(live=True, callback=sys.exit if listener == "callback" else None) as stream:
        if listener == "subscriber":
            stream.subscribe(lambda *_: sys.exit())
        stream.push(IMAGE, 0.0)
        stream._background.queue.join()  # type: ignore[union-attr]
        assert stream._background is not None and stream._background.worker.is_alive()
        assert stream.stats().callback_errors == 1
        assert isinstance(stream.last_error, SystemExit)
        stream.push(IMAGE, 0.25)
        stream._background.queue.join()  # type: ignore[union-attr]
        assert stream.stats().encoded == 2


def test_a_callback_that_exits_ends_a_plain_push(model: Model) -> None:
    with model.open_stream(callback=sys.exit) as stream, pytest.raises(SystemExit):
        stream.push(IMAGE, 0.0)


@pytest.mark.parametrize("use", ["flush", "reset", "close", "set_query"])
def test_a_callback_may_use_the_stream(model: Model, use: str) -> None:
    calls: list[Event] = []
    done = threading.Event()

    def callback(event: Event) -> None:
        calls.append(event)
        if len(calls) == 1:
            getattr(stream, use)(*(["other"] if use == "set_query" else []))
            done.set()

    stream = model.open_stream(live=True, callback=callback)
    stream.push(IMAGE, 0.0)
    assert done.wait(5)
    stream.close()
    assert stream.last_error is None


def at_once(go: threading.Event, *uses: Callable[[], object]) -> list[Exception]:
    """Call all from threads of their own while the worker is held, then let it go on; what they raised."""
    raised: list[Exception] = []

    def work(use: Callable[[], object]) -> None:
        try:
            use()
        except InputError as error:
            raised.append(error)

    threads = [threading.Thread(target=work, args=(use,)) for use in uses]
    for thread in threads:
        thread.start()
    time.sleep(0.3)  # they wait for the hop
    go.set()
    for thread in threads:
        thread.join()
    return raised


def test_queries_that_threads_add_at_once_are_all_asked(toy: Path) -> None:
    model, waits, go = held(toy)
    with model.open_stream("a", live=True) as stream:
        stream.push(IMAGE, 0.0)
        assert waits.wait(5)
        uses = [partial(stream.add_query, query) for query in ("b", "c", "c")]
        (error,) = at_once(go, *uses)
        assert "already" in str(error)
        assert sorted(stream.queries) == ["a", "b", "c"]


def test_of_queries_that_threads_remove_at_once_one_stays(toy: Path) -> None:
    model, waits, go = held(toy)
    with model.open_stream(["a", "b"], live=True) as stream:
        stream.push(IMAGE, 0.0)
        assert waits.wait(5)
        (error,) = at_once(go, partial(stream.remove_query, "a"), partial(stream.remove_query, "b"))
        assert "must stay" in str(error)
        assert stream.queries in (("a",), ("b",))


def test_flush_waits_for_the_frames_before_it_and_not_for_those_after(toy: Path) -> None:
    model = slow_model(toy, lambda name: time.sleep(0.01))
    with model.open_stream(live=True) as stream:
        stop = threading.Event()

        def camera() -> None:
            index = 0
            while not stop.is_set():
                stream.push(IMAGE, index / 4)
                index += 1
                time.sleep(0.002)

        thread = threading.Thread(target=camera)
        thread.start()
        time.sleep(0.05)
        stream.flush()
        stop.set()
        thread.join()
    assert stream.stats().encoded > 0


def test_reset_drops_what_waits_and_what_is_on_its_way(toy: Path) -> None:
    model, waits, go = held(toy)
    with model.open_stream(live=True) as stream:
        stream.push(IMAGE, 50.0)
        assert waits.wait(5)
        stream.push(IMAGE, 50.25)
        resetting = threading.Thread(target=stream.reset)
        resetting.start()
        go.set()
        resetting.join()
        stream.push(IMAGE, 0.0)
        stream.flush()
        assert [event.start for event in stream.poll()] == [0.0, 0.0]
    assert (stream.stats().frames, stream.stats().encoded) == (1, 1)


def test_close_ends_the_worker_even_with_frames_waiting(toy: Path) -> None:
    model, _, go = held(toy)
    stream = model.open_stream(live=True, queue=4)
    for index in range(4):
        stream.push(IMAGE, index / 4)
    go.set()
    stream.close()
    stream.close()
    assert stream._background is not None and not stream._background.worker.is_alive()


def test_a_stream_that_is_forgotten_takes_its_worker_along(model: Model) -> None:
    stream = model.open_stream(live=True)
    stream.push(IMAGE, 0.0)
    stream.flush()
    assert stream._background is not None
    worker, gone = stream._background.worker, weakref.ref(stream)
    del stream
    gc.collect()
    worker.join(5)
    assert gone() is None and not worker.is_alive()


# --- stalls ---


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_camera_that_falls_silent_is_reported_without_another_frame(model: Model) -> None:
    events: list[Event] = []
    with model.open_stream(["a", "b"], live=True, gap=0.4, callback=events.append) as stream:
        for index in range(4):
            stream.push(IMAGE, index / 4)
        wait_for(lambda: stream.stats().stalls)
        wait_for(lambda: len(events) == 5)
        *_, first, second, stalled = events
        assert [(e.status, e.end, e.query) for e in (first, second)] == [("closed", 0.75, "a"), ("closed", 0.75, "b")]
        assert (stalled.status, stalled.start, stalled.end, stalled.text) == ("stalled", 0.75, None, "")
        assert 0.4 <= stalled.decided_at - 0.75 < 5
        assert str(stalled) == "[0.75 - ... s] (no frames)"
        assert np.all(stalled.embedding == 0) and not stalled.embedding.flags.writeable
        assert facts(stream.poll()) == facts(events)
        time.sleep(0.6)
        assert stream.stats().stalls == 1, "one silence is one stall"
        stream.push(IMAGE, 5.0)
        stream.flush()
        assert [(e.status, e.start) for e in events[5:7]] == [("open", 5.0)] * 2
    assert (stream.stats().stalls, stream.stats().gaps) == (1, 1)
    assert stream.stats().decodes == stream.stats().events - 1


@pytest.mark.parametrize(
    ("image", "times"),
    [(IMAGE, itertools.repeat(0.0)), (IMAGE, itertools.repeat(math.nan)), (IMAGE, itertools.cycle([-0.1, -0.2])),
     (None, itertools.count(0.02, 0.02))],
    ids=["repeats its last stamp", "stamps no number", "runs backwards", "gives no frames"],
)  # fmt: skip
def test_a_frozen_camera_is_silent(model: Model, image: object, times: Iterator[float]) -> None:
    with model.open_stream(live=True, gap=0.3) as stream:
        stream.push(IMAGE, 0.0)
        for _ in range(250):
            with suppress(FrameError):
                stream.push(image, next(times))  # type: ignore[arg-type]
            if stream.stats().stalls:
                break
            time.sleep(0.02)
        stats = stream.stats()
        assert (stats.encoded, stats.stalls) == (1, 1)
        assert [event.status for event in stream.poll()] == ["open", "closed", "stalled"]


def test_silence_after_a_frame_that_came_just_before_a_stall_was_told_is_a_stall(model: Model) -> None:
    with model.open_stream(live=True, gap=0.3) as stream:
        stream.push(IMAGE, 0.0)
        wait_for(lambda: stream.stats().encoded)
        with stream._session.work:
            time.sleep(0.5)  # the worker, about to tell of the stall, waits
            stream.push(IMAGE, 0.5)
            time.sleep(0.4)
        wait_for(lambda: stream.stats().stalls)
        events = stream.poll()
        assert [event.status for event in events] == ["open", "closed", "open", "closed", "stalled"]
        assert (events[-1].start, stream.stats().stalls) == (0.5, 1)


@pytest.mark.parametrize("when", ["before the first frame", "after flush", "after reset"])
def test_silence_that_nobody_waits_in_is_no_stall(model: Model, when: str) -> None:
    with model.open_stream(live=True, gap=0.3) as stream:
        if when != "before the first frame":
            stream.push(IMAGE, 0.0)
            stream.flush()
        if when == "after reset":
            stream.reset()
        time.sleep(0.7)
        assert stream.stats().stalls == 0


def test_a_camera_whose_frames_are_not_due_is_not_silent(model: Model) -> None:
    with model.open_stream(live=True, gap=0.3) as stream:
        for index in range(40):
            stream.push(IMAGE, index / 1000)
            time.sleep(0.02)
        assert (stream.stats().encoded, stream.stats().stalls) == (1, 0)


def test_a_stream_without_end_of_patience_never_stalls(model: Model) -> None:
    with model.open_stream(live=True, gap=float("inf")) as stream:
        stream.push(IMAGE, 0.0)
        time.sleep(0.3)
        stream.push(IMAGE, 100.0)
        stream.flush()
        assert (stream.stats().stalls, stream.stats().gaps, stream.stats().encoded) == (0, 0, 2)


def test_the_queue_keeps_the_latest_and_tells_of_drops() -> None:
    queue: LatestQueue[int] = LatestQueue(2)
    assert [queue.put(item) for item in range(4)] == [False, False, True, True]
    assert (queue.get(), queue.get()) == (2, 3)
    queue.done()
    queue.join()
    assert queue.get(0.01) is None and not queue.closed
    queue.put(4)
    queue.close()
    assert queue.get() is None and queue.closed
    queue.join()


def test_the_newest_of_a_queue_can_be_taken_instead_of_the_oldest() -> None:
    queue: LatestQueue[int] = LatestQueue(3)
    for item in range(3):
        queue.put(item)
    assert queue.get() == 0
    assert queue.newest(0) == (2, 2) and len(queue) == 0
    assert queue.newest(2) == (2, 0)
    queue.done()
    queue.join()
