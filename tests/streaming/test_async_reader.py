"""`async for event in model.astream(source)`: the events of `model.stream`, and a loop that is never blocked.

Where a test says that the loop isn't blocked, the source waits for something that only the loop does: were it blocked,
both would wait for ever, and the time-out ends the test.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.media import write_video
from tests.streaming.scenes import BLUE, GREEN, RED, Image, picture, scenes
from tests.streaming.test_stream import facts
from tests.streaming.wrapped import WrappedEngine
from tests.video.threads import video_threads
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import EngineError, FrameError, InputError, VideoError
from vljepa_edge.model import Model
from vljepa_edge.streaming.async_reader import AHEAD
from vljepa_edge.streaming.event import Event

POLICY = "running-ward:threshold=0.2"
EACH_HOP = "uniform:period=0.25"


def run(work: Coroutine[Any, Any, Any], seconds: float = 20.0) -> Any:
    """The result of a coroutine, in a loop of its own."""
    return asyncio.run(asyncio.wait_for(work, seconds))


async def collect(events: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in events]


def workers() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("vljepa-")] + [thread.name for thread in video_threads()]


async def all_ended() -> None:
    for _ in range(500):
        if not workers():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"still running: {workers()}")


def slowly(frames: list[tuple[Image, float]]) -> Iterator[tuple[Image, float]]:
    for frame in frames:
        time.sleep(0.02)
        yield frame


class Camera:
    """Frames without an end; `left` is set when it is closed."""

    def __init__(self, pause: float = 0.001) -> None:
        self.pause, self.left, self.given = pause, threading.Event(), 0

    def __iter__(self) -> Iterator[tuple[Image, float]]:
        try:
            for index in range(1_000_000):
                time.sleep(self.pause)
                self.given += 1
                yield picture((RED, BLUE)[index // 8 % 2], index), index / 4
        finally:
            self.left.set()


async def reached(camera: Camera) -> None:
    """Wait until the source is open and frames have been taken."""
    while camera.given < 10:
        await asyncio.sleep(0.01)


def test_the_arguments_are_those_of_stream() -> None:
    ours, theirs = inspect.signature(Model.astream), inspect.signature(Model.stream)
    assert ours.parameters == theirs.parameters


@pytest.mark.parametrize("live", [False, True])
def test_it_gives_the_events_of_stream(model: Model, tmp_path: Path, live: bool) -> None:
    frames = list(scenes(RED, GREEN, BLUE, seconds=2))
    path = write_video(tmp_path / "clip.mp4", [image for image, _ in frames], fps=4)

    def source() -> Any:
        return slowly(frames) if live else path

    queries = ["What is happening?", "What moves?"]
    options = {"query": queries, "policy": POLICY, "decode": "closed", "live": live, "max_staleness": 60.0, "queue": 99}
    expected = list(model.stream(source(), **options))  # type: ignore[arg-type]
    given = run(collect(model.astream(source(), **options)))  # type: ignore[arg-type]
    if not live:  # which frames of a live source are taken depends on the machine
        assert facts(given) == facts(expected)
    assert {event.query for event in given} == set(queries)
    assert [event.status for event in given].count("closed") >= 2
    run(all_ended())


def test_the_loop_runs_while_the_source_opens_and_is_read(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    on = [threading.Event() for _ in range(3)]
    opening = Model.open

    def slow_open(self: Model, *args: Any, **options: Any) -> Any:
        assert on[0].wait(20)
        return opening(self, *args, **options)

    def slow_frames() -> Iterator[tuple[Image, float]]:
        for index, gate in enumerate(on[1:]):
            assert gate.wait(20)
            yield picture(RED), index / 4

    monkeypatch.setattr(Model, "open", slow_open)

    async def work() -> list[Event]:
        reading = asyncio.create_task(collect(model.astream(slow_frames())))
        for gate in on:
            await asyncio.sleep(0.02)
            assert not reading.done()
            gate.set()
        return await reading

    assert [event.status for event in run(work())] == ["open", "closed"]


def test_two_streams_share_a_loop(model: Model) -> None:
    turns = [threading.Semaphore(1), threading.Semaphore(0)]

    def frames(mine: int) -> Iterator[tuple[Image, float]]:
        for index in range(4):
            assert turns[mine].acquire(timeout=20)
            yield picture(RED), index / 4
            turns[1 - mine].release()

    async def work() -> list[list[Event]]:
        return await asyncio.gather(*(collect(model.astream(frames(mine))) for mine in (0, 1)))

    assert [[event.status for event in events] for events in run(work())] == [["open", "closed"]] * 2


@pytest.mark.parametrize("live", [False, True])
def test_break_ends_the_worker_and_closes_the_source(model: Model, live: bool) -> None:
    camera = Camera()

    async def work() -> None:
        async for _ in model.astream(camera, policy=EACH_HOP, live=live):
            break
        await all_ended()

    run(work())
    gc.collect()  # a generator of the caller is closed when it is dropped
    assert camera.left.is_set()


@pytest.mark.parametrize("live", [False, True])
def test_aclose_waits_for_the_worker_and_ends_every_loop(model: Model, live: bool) -> None:
    async def work() -> None:
        events = model.astream(Camera(), policy="uniform:period=80000", live=live)
        assert (await events.__anext__()).status == "open"
        waiting = [asyncio.create_task(collect(events)) for _ in range(2)]
        await asyncio.sleep(0.02)
        await events.aclose()
        await all_ended()
        assert await asyncio.gather(*waiting) == [[], []]
        assert await collect(events) == []
        await events.aclose()

    run(work())


def test_aclose_ends_a_worker_that_waits_for_room(model: Model) -> None:
    async def work() -> None:
        async with model.astream(Camera(0), policy=EACH_HOP) as events:
            await events.__anext__()
            while events.stats().events < AHEAD:
                await asyncio.sleep(0.01)
        await all_ended()
        assert await collect(events) == []

    run(work())


def test_aclose_before_the_first_event_opens_nothing(model: Model) -> None:
    async def work() -> None:
        events = model.astream("nowhere.mp4")
        await events.aclose()
        assert await collect(events) == []
        with pytest.raises(InputError, match="is closed"):
            await events.__aenter__()

    run(work())


@pytest.mark.parametrize("live", [False, True])
def test_a_cancelled_task_ends_the_worker(model: Model, live: bool) -> None:
    camera = Camera()
    events = model.astream(camera, policy="uniform:period=80000", live=live)  # held: it can't be dropped

    async def work() -> None:
        reading = asyncio.create_task(collect(events))
        await reached(camera)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await all_ended()
        assert events.stats().frames > 0 and await collect(events) == []

    run(work())


def test_a_loop_that_ends_takes_its_workers_along(model: Model) -> None:
    camera = Camera()

    async def work() -> None:
        reading = asyncio.create_task(collect(model.astream(camera, policy=EACH_HOP)))
        await reached(camera)
        assert not reading.done()

    run(work())  # asyncio.run cancels what is left
    asyncio.run(all_ended())


def test_a_closed_loop_ends_the_worker(model: Model) -> None:
    loop = asyncio.new_event_loop()
    events = model.astream(Camera(), policy=EACH_HOP)
    loop.run_until_complete(events.__anext__())
    loop.close()
    asyncio.run(all_ended())
    with pytest.raises(InputError, match="event loop"):
        run(collect(events))


def test_a_hanging_iterable_is_not_waited_for_longer_than_a_few_seconds(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vljepa_edge.streaming.async_reader._PATIENCE", 0.2)
    hangs, over = threading.Event(), threading.Event()

    def frames() -> Iterator[tuple[Image, float]]:
        yield picture(RED), 0.0
        hangs.set()
        assert over.wait(20)

    async def work() -> None:
        events = model.astream(frames())
        await events.__anext__()
        assert await asyncio.to_thread(hangs.wait, 20)
        await events.aclose()
        assert workers() == ["vljepa-astream"] and await collect(events) == []
        over.set()
        await all_ended()

    run(work())


def test_a_slow_loop_holds_a_file_back(model: Model) -> None:
    camera = Camera(0)

    async def work() -> int:
        async with model.astream(camera, policy=EACH_HOP, decode="none") as events:
            await events.__anext__()
            while events.stats().events < AHEAD:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            return events.stats().events

    # An open and a closed event a hop: those that wait, one that was taken, one that the worker holds, the hop's other.
    assert AHEAD <= run(work()) <= AHEAD + 4
    assert camera.given < AHEAD


def test_a_slow_loop_does_not_hold_a_live_source_back(model: Model) -> None:
    async def work() -> tuple[int, int]:
        async with model.astream(Camera(), policy=EACH_HOP, live=True, decode="none") as events:
            await events.__anext__()
            while events.stats().unpolled == 0:
                await asyncio.sleep(0.01)
            return events.stats().events, len(events.stream.poll())

    made, kept = run(work())
    assert made > 256 + AHEAD and kept <= 256 + 2


@pytest.mark.parametrize("live", [False, True])
def test_errors_come_typed_after_the_last_segment(model: Model, live: bool) -> None:
    def camera() -> Iterator[tuple[Image, float]]:
        for index in range(4):
            time.sleep(0.02)
            yield picture(RED), index / 4
        time.sleep(0.2)
        raise VideoError("camera:0", "lost")

    async def work() -> list[str]:
        seen, events = [], model.astream(camera(), live=live)
        with pytest.raises(VideoError, match="camera:0: lost"):
            async for event in events:
                seen.append(event.status)
        assert await collect(events) == [], "an error is raised once"
        return seen

    assert run(work()) == ["open", "closed"]
    run(all_ended())


def test_a_failing_graph_is_an_engine_error(toy: Path) -> None:
    def before(name: str) -> None:
        if name == "predictor":
            raise EngineError("out of order")

    failing = Model(Bundle.open(toy), WrappedEngine(before))
    with pytest.raises(EngineError, match="out of order"):
        run(collect(failing.astream(scenes(RED))))


def open_badly(source: Any, **options: Any) -> Callable[[Model], Coroutine[Any, Any, object]]:
    async def entered(model: Model) -> None:
        async with model.astream(source, **options):
            raise AssertionError("it was opened")

    return entered


@pytest.mark.parametrize(
    ("source", "options", "error"),
    [
        ("nowhere.mp4", {}, VideoError),
        (42, {}, VideoError),
        (picture(RED), {"query": ["twice", "twice"]}, InputError),
        (picture(RED), {"live": "yes"}, InputError),
    ],
)
def test_what_can_not_be_opened_is_said_by_iterating_and_by_entering(
    model: Model, source: Any, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        run(collect(model.astream(source, **options)))
    with pytest.raises(error):
        run(open_badly(source, **options)(model))
    run(all_ended())


def test_an_option_that_is_not_allowed_is_refused_at_once(model: Model) -> None:
    with pytest.raises(InputError, match="policy"):
        model.astream(picture(RED), policy="never")
    with pytest.raises(InputError, match="decode"):
        model.astream(picture(RED), decode="often")  # type: ignore[arg-type]


def test_a_frame_that_is_none_is_a_frame_error(model: Model) -> None:
    with pytest.raises(FrameError):
        run(collect(model.astream([(np.zeros((4, 4, 3)), 0.0)])))


def test_sys_exit_of_a_callers_source_reaches_the_caller(model: Model) -> None:
    def frames() -> Iterator[tuple[Image, float]]:
        yield picture(RED), 0.0
        raise SystemExit(7)

    async def work() -> None:
        with pytest.raises(SystemExit):
            async for _ in model.astream(frames()):
                pass

    run(work())


def test_what_is_open_is_there_once_it_is_entered(model: Model) -> None:
    async def work() -> list[Event]:
        events = model.astream(scenes(RED, BLUE), policy=POLICY)
        for early in (events.stats, events.finish, lambda: events.stream, lambda: events.source):
            with pytest.raises(InputError, match="not open yet"):
                early()
        async with events:
            assert events.stream.queries == ("What is happening?",)
            await asyncio.sleep(0.1)
            assert events.source.stats.frames_yielded == 0, "reading begins with the first event that is asked for"
            return await collect(events)

    assert len(run(work())) == 4


def test_finish_closes_the_open_segment(model: Model) -> None:
    async def work() -> list[str]:
        async with model.astream(Camera(), policy="uniform:period=80000") as events:
            seen = [(await events.__anext__()).status]
            asyncio.get_running_loop().call_later(0.05, events.finish)
            return seen + [event.status async for event in events]

    assert run(work()) == ["open", "closed"]
