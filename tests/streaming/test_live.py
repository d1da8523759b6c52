"""A live stream never keeps the camera waiting, and says what it left out."""

from __future__ import annotations

import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.streaming.scenes import BLUE, GREEN, RED, picture, scenes
from tests.streaming.test_stream import embeddings_of, facts, run
from tests.streaming.test_times import assert_adds_up
from tests.streaming.wrapped import WrappedEngine
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import EngineError, InputError
from vljepa_edge.model import Model
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.queue import LatestQueue

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
    with model.open_stream(live=True) as stream:
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


def test_a_graph_that_fails_is_counted_and_shown_and_the_worker_goes_on(toy: Path) -> None:
    fail = threading.Event()

    def before(name: str) -> None:
        if fail.is_set() and name == "predictor":
            raise EngineError("out of order")

    with slow_model(toy, before).open_stream(live=True) as stream:
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


def test_callbacks_run_on_the_worker_and_their_errors_do_no_harm(model: Model) -> None:
    threads: set[str] = set()

    def callback(event: Event) -> None:
        threads.add(threading.current_thread().name)
        raise RuntimeError("mine")

    with model.open_stream(policy="uniform:period=0.25", live=True, queue=8, callback=callback) as stream:
        for image, at in scenes(RED, seconds=2):
            stream.push(image, at)
        stream._queue.join()  # type: ignore[union-attr]
        assert stream.stats().callback_errors == 15
        assert stream.stats().encoded == 8
        assert str(stream.last_error) == "mine"
    assert threads == {"vljepa-stream"}


@pytest.mark.parametrize("listener", ["callback", "subscriber"])
def test_a_listener_that_exits_does_not_end_the_worker(model: Model, listener: str) -> None:
    with model.open_stream(live=True, callback=sys.exit if listener == "callback" else None) as stream:
        if listener == "subscriber":
            stream.subscribe(lambda *_: sys.exit())
        stream.push(IMAGE, 0.0)
        stream._queue.join()  # type: ignore[union-attr]
        assert stream._worker.is_alive()
        assert stream.stats().callback_errors == 1
        assert isinstance(stream.last_error, SystemExit)
        stream.push(IMAGE, 0.25)
        stream._queue.join()  # type: ignore[union-attr]
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
    assert not stream._worker.is_alive()


def test_a_stream_that_is_forgotten_takes_its_worker_along(model: Model) -> None:
    stream = model.open_stream(live=True)
    stream.push(IMAGE, 0.0)
    stream.flush()
    worker, gone = stream._worker, weakref.ref(stream)
    del stream
    gc.collect()
    worker.join(5)
    assert gone() is None and not worker.is_alive()


def test_the_queue_keeps_the_latest_and_tells_of_drops() -> None:
    queue: LatestQueue[int] = LatestQueue(2)
    assert [queue.put(item) for item in range(4)] == [False, False, True, True]
    assert (queue.get(), queue.get()) == (2, 3)
    queue.done()
    queue.join()
    queue.put(4)
    queue.close()
    assert queue.get() is None
    queue.join()
