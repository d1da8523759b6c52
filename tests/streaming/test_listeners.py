"""Subscriptions are each their own, and what nobody received is counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.streaming.scenes import RED, Image, picture
from tests.streaming.wrapped import WrappedEngine
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import EngineError
from vljepa_edge.model import Model
from vljepa_edge.streaming import emitter
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.stream import Stream

IMAGE = picture(RED)


def test_undoing_one_of_two_equal_subscriptions_leaves_the_other(model: Model) -> None:
    seen: list[float] = []

    def listen(at: float, *_: object) -> None:
        seen.append(at)

    with model.open_stream() as stream:
        undo, undo_other = stream.subscribe(listen), stream.subscribe(listen)
        stream.push(IMAGE, 0.0)
        undo()
        undo()  # a second time does nothing
        stream.push(IMAGE, 0.25)
        undo_other()
        stream.push(IMAGE, 0.5)
    assert seen == [0.0, 0.0, 0.25]


QUERY = "What is happening?"
FRAME = 0.25  # seconds


@pytest.fixture
def keeps_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """poll() keeps two events instead of 256."""
    monkeypatch.setattr(emitter, "POLLED", 2)


def flush(stream: Stream) -> list[Event]:
    return stream.flush()


def ask_something_else(stream: Stream) -> list[Event]:
    return stream.set_query([QUERY, f"Which colour is seen after {stream.stats().frames} frames?"])


def ask_one_less(stream: Stream) -> list[Event]:
    closed = stream.remove_query(QUERY)
    stream.add_query(QUERY)
    return closed


@pytest.mark.usefixtures("keeps_two")
@pytest.mark.parametrize("call", [flush, ask_something_else, ask_one_less])
def test_an_event_that_a_call_returned_is_not_unpolled(model: Model, call: Callable[[Stream], list[Event]]) -> None:
    with model.open_stream([QUERY, "Which colour?"]) as stream:
        returned = [event for n in range(6) for event in stream.push(IMAGE, n * FRAME) + call(stream)]
        assert len(returned) == stream.stats().events > 8
        assert stream.stats().unpolled == 0


@pytest.mark.usefixtures("keeps_two")
@pytest.mark.parametrize("fails", [False, True])
def test_an_event_that_the_callback_received_is_not_unpolled(model: Model, fails: bool) -> None:
    received: list[Event] = []

    def take(event: Event) -> None:
        received.append(event)
        if fails:
            raise ValueError("received, and then something else went wrong")

    with model.open_stream(live=True, callback=take) as stream:
        for n in range(6):
            stream.push(IMAGE, n * FRAME)
            stream.flush()
        stats = stream.stats()
    assert stats.events == len(received) > 8
    assert (stats.unpolled, stats.callback_errors) == (0, len(received) if fails else 0)


@pytest.mark.usefixtures("keeps_two")
def test_an_event_of_the_worker_is_unpolled_when_newer_ones_push_it_out(model: Model) -> None:
    """It opens segments, which no call returns; flush() closes them and returns that."""
    with model.open_stream(live=True) as stream:
        returned = []
        for n in range(6):
            stream.push(IMAGE, n * FRAME)
            returned += stream.flush()
        kept = stream.poll()
    assert [event.status for event in returned] == ["closed"] * 6
    assert [event.status for event in kept] == ["open", "closed"]
    assert stream.stats().events == 12
    assert stream.stats().unpolled == 5  # openings


@pytest.mark.usefixtures("keeps_two")
def test_an_event_of_a_push_that_raised_is_unpolled_when_newer_ones_push_it_out(toy: Path) -> None:
    def fail_to_decode(graph: str) -> None:
        if graph == "y_decoder":
            raise EngineError("no memory")

    model = Model(Bundle.open(toy), WrappedEngine(fail_to_decode))
    with model.open_stream() as stream:
        for n in range(5):
            with pytest.raises(EngineError):
                stream.push(IMAGE, n * FRAME)
            with pytest.raises(EngineError):
                stream.flush()
        assert stream.stats().events == 10
        assert stream.stats().unpolled == 8


@pytest.mark.usefixtures("keeps_two")
def test_the_events_of_one_call_never_push_each_other_out(model: Model) -> None:
    queries = [f"What is at place {n}?" for n in range(5)]
    with model.open_stream(queries) as stream:
        stream.push(IMAGE, 0.0)
        stream.poll()
        returned = stream.flush()
        assert stream.poll() == returned and len(returned) == 5
    events = list(model.stream(iter([(IMAGE, n * FRAME) for n in range(4)]), queries, "uniform:period=0.25"))
    assert len(events) == 5 * (1 + 2 * 3 + 1)


@pytest.mark.usefixtures("keeps_two")
def test_what_a_slow_loop_over_a_live_source_misses_is_unpolled(model: Model) -> None:
    opened, over = threading.Event(), threading.Event()

    def source() -> Iterator[tuple[Image, float]]:
        for n in range(6):
            yield IMAGE, n * FRAME
            assert opened.wait(20)
            while not events.stream.flush():  # a live source is read ahead: the frame may not be in the stream yet
                time.sleep(0.001)
        over.set()

    events = model.stream(source(), live=True)
    opened.set()
    received = [next(events)]
    assert over.wait(20)  # the loop's body takes longer than the source
    received += events
    stats = events.stats()
    assert stats.events == 12
    assert 0 < stats.unpolled <= 6  # segments opened, which nobody else was told of
