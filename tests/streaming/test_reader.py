"""`model.stream(source)` reads a source to its end, or until one stops listening."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.media import write_video
from tests.streaming.scenes import BLUE, GREEN, RED, Image, picture, scenes
from tests.streaming.test_stream import facts, run
from tests.streaming.wrapped import WrappedEngine
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import EngineError, FrameError, InputError, VideoError
from vljepa_edge.model import Model

POLICY = "running-ward:threshold=0.2"


def test_it_yields_what_pushing_the_same_frames_gives(model: Model) -> None:
    frames = list(scenes(RED, GREEN, BLUE))
    with model.open_stream(policy=POLICY) as stream:
        expected = run(stream, frames)
    events = model.stream(iter(frames), policy=POLICY)
    assert facts(list(events)) == facts(expected)
    assert events.stats().frames == len(frames)
    assert events.stats().seconds == pytest.approx(frames[-1][1])


@pytest.mark.parametrize(
    "times",
    [
        [100 + i / 4 for i in range(8)] + [95 + i / 4 for i in range(8)],
        [3600.0 if i == 4 else i / 4 for i in range(12)],
    ],
)
def test_a_clock_that_goes_back_restarts_the_stream_as_it_does_in_push(model: Model, times: list[float]) -> None:
    frames = [(picture(RED, index), time) for index, time in enumerate(times)]
    with model.open_stream(policy="uniform:period=1") as stream:
        expected = run(stream, frames)
    events = model.stream(iter(frames), policy="uniform:period=1")
    assert facts(list(events)) == facts(expected)
    assert events.stats().restarts == stream.stats().restarts == 1


def test_a_video_file_is_sampled_at_the_models_rate(model: Model, tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "clip.mp4", [picture(RED, size=(48, 64))] * 30 + [picture(BLUE, size=(48, 64))] * 30, fps=15
    )
    events = model.stream(path, policy=POLICY)
    closed = [event for event in events if event.status == "closed"]
    assert closed[0].start == 0
    assert closed[-1].end == pytest.approx(3.75, abs=0.25)
    assert min(abs(event.start - 2) for event in closed) < 0.9
    assert events.stats().encoded == events.stats().frames == 16
    assert events.source.stats.frames_decoded == 60


def test_an_image_is_one_segment(model: Model) -> None:
    opened, closed = model.stream(picture(RED))
    assert (opened.status, closed.status, closed.end) == ("open", "closed", 0.0)


def test_leaving_the_loop_closes_the_source(model: Model) -> None:
    left = []

    def camera() -> Iterator[tuple[Image, float]]:
        try:
            for index in range(10_000):
                yield picture(RED, index), index / 4
        finally:
            left.append(True)

    for _ in model.stream(camera(), policy="uniform:period=1"):
        break
    gc.collect()
    assert left


@pytest.mark.parametrize("live", [False, True])
def test_closing_ends_the_iteration(model: Model, live: bool) -> None:
    def camera() -> Iterator[tuple[Image, float]]:
        for index in range(10_000):
            time.sleep(0.001)
            yield picture(RED, index), index / 4

    with model.stream(camera(), policy="uniform:period=1", live=live) as events:
        next(events)
    assert list(events) == []
    events.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "vljepa-source"]


def test_another_thread_may_end_the_reading_of_a_long_recording(model: Model) -> None:
    read = []

    def recording() -> Iterator[tuple[Image, float]]:
        for index in range(1000):
            read.append(index)
            if index == 20:
                closing = threading.Thread(target=events.close)
                closing.start()
                closing.join()
            yield picture(RED), index / 4

    events = model.stream(recording(), policy="uniform:period=1000")
    assert [event.status for event in events] == ["open"]
    assert read[-1] == 20
    assert list(events.source) == []


def test_a_listener_may_end_the_reading_but_not_wait_for_the_next_event(model: Model) -> None:
    hops: list[float] = []
    events = model.stream(((picture(RED), i / 4) for i in range(1000)), policy="uniform:period=1000")

    def listen(time: float, *_: object) -> None:
        hops.append(time)
        if time == 0.5:
            next(events)
        if time == 5.0:
            events.close()

    events.stream.subscribe(listen)
    assert [event.status for event in events] == ["open"]
    assert isinstance(events.stream.last_error, InputError) and events.stats().callback_errors == 1
    assert hops[-1] == 5.0
    assert list(events.source) == []


def test_another_thread_may_close_while_the_loop_asks_for_the_next_event(model: Model) -> None:
    left, asks = threading.Event(), threading.Event()

    def camera() -> Iterator[tuple[Image, float]]:
        yield picture(RED), 0.0
        left.wait()

    events = model.stream(camera(), live=True)
    next(events)
    close = events.source.close

    def slow_close() -> None:
        asks.set()
        time.sleep(0.2)
        close()

    events.source.close = slow_close  # type: ignore[method-assign]
    closing = threading.Thread(target=events.close)
    closing.start()
    assert asks.wait(5)
    assert list(events) == []
    left.set()
    closing.join()


def test_another_thread_may_end_a_live_stream(model: Model) -> None:
    def camera() -> Iterator[tuple[Image, float]]:
        index = 0
        while True:
            time.sleep(0.002)
            yield picture(RED), index / 4
            index += 1

    events = model.stream(camera(), policy="uniform:period=1000", live=True)
    timer = threading.Timer(0.3, events.close)
    timer.start()
    assert [event.status for event in events] == ["open"]
    timer.join()


def test_closing_does_not_wait_for_a_live_source_that_hangs(model: Model) -> None:
    over = threading.Event()

    def camera() -> Iterator[tuple[Image, float]]:
        yield picture(RED), 0.0
        over.wait()

    events = model.stream(camera(), live=True)
    next(events)
    closing = threading.Thread(target=events.close, daemon=True)
    closing.start()
    closing.join(5)
    over.set()
    assert not closing.is_alive()


def test_a_live_source_that_ends_ends_the_loop_with_its_last_segment(model: Model) -> None:
    def camera() -> Iterator[tuple[Image, float]]:
        for image, at in scenes(RED, GREEN):
            time.sleep(0.005)
            yield image, at

    events = list(model.stream(camera(), policy="uniform:period=1000", live=True))
    assert [event.status for event in events] == ["open", "closed"]
    assert events[-1].end == 7.75


def test_the_stall_of_a_live_source_is_an_event_and_the_reading_goes_on(model: Model) -> None:
    on = threading.Event()

    def camera() -> Iterator[tuple[Image, float]]:
        yield picture(RED), 0.0
        on.wait(10)
        yield picture(RED), 5.0

    seen = []
    for event in model.stream(camera(), live=True, gap=0.4):
        seen.append((event.status, event.start, event.end))
        if event.status == "stalled":
            on.set()
    assert seen == [
        ("open", 0.0, None),
        ("closed", 0.0, 0.0),
        ("stalled", 0.0, None),
        ("open", 5.0, None),
        ("closed", 5.0, 5.0),
    ]


@pytest.mark.parametrize("live", [False, True])
def test_what_is_wrong_with_the_source_is_raised(model: Model, live: bool) -> None:
    frames = [(picture(RED), 0.0), (np.zeros((4, 4, 3)), 0.25)]
    with pytest.raises(FrameError):
        list(model.stream(iter(frames), live=live))


@pytest.mark.parametrize("live", [False, True])
def test_the_last_segment_of_a_source_that_fails_is_closed_before_its_error_is_raised(model: Model, live: bool) -> None:
    def camera() -> Iterator[tuple[Image, float]]:
        for index in range(8):
            time.sleep(0.02)
            yield picture(RED), index / 4
        time.sleep(0.2)  # the latest frame wins: let it be taken
        raise VideoError("camera:0", "lost")

    events, seen = model.stream(camera(), live=live), []
    with pytest.raises(VideoError, match="camera:0: lost"):
        for event in events:
            seen.append((event.status, event.end))
    assert seen == [("open", None), ("closed", 1.75)]


@pytest.mark.parametrize("error", [EngineError("out of order"), KeyboardInterrupt()], ids=repr)
def test_the_last_segment_is_closed_before_what_stops_a_graph_is_raised(toy: Path, error: BaseException) -> None:
    def before(name: str) -> None:
        if name == "predictor" and engine.calls[name] == 5:
            raise error

    engine = WrappedEngine(before)
    events, seen = Model(Bundle.open(toy), engine).stream(scenes(RED)), []
    with pytest.raises(type(error)):
        for event in events:
            seen.append((event.status, event.end))
    assert seen[0] == ("open", None) and len(seen) == 2
    assert seen[1] == ("closed", 1.0)


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """A shell starts what it runs in the background deaf to SIGINT; Python then leaves it so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_closes_the_last_segment_of_a_live_source(model: Model) -> None:
    def camera() -> Iterator[tuple[Image, float]]:
        for index in range(500):
            time.sleep(0.02)
            if index == 8:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            yield picture(RED), index / 4

    seen = []
    with pytest.raises(KeyboardInterrupt):
        for event in model.stream(camera(), live=True):
            seen.append(event.status)
    assert seen == ["open", "closed"]


def test_a_source_that_does_not_exist_is_refused_at_once(model: Model) -> None:
    with pytest.raises(VideoError, match=r"nowhere\.mp4"):
        model.stream("nowhere.mp4")
    with pytest.raises(InputError):
        model.stream(picture(RED), policy="never")
