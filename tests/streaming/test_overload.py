"""A worker slower than its camera, on a simulated clock: hops are left out, windows stay even, and no gap is made."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.streaming.scenes import BLUE, GREEN, RED, picture
from tests.streaming.test_times import assert_adds_up
from tests.streaming.wrapped import WrappedEngine
from vljepa_edge._core import Pace
from vljepa_edge.bundle import Bundle
from vljepa_edge.model import Model
from vljepa_edge.streaming import admission, analysis, background, stream
from vljepa_edge.streaming.stream import Stream

FPS, SECONDS, PERIOD = 30, 12.0, 0.25
QUEUE, STALENESS = 8, 2.0
IMAGES = [picture(colour, size=(8, 8)) for colour in (RED, GREEN, BLUE)]


class Simulation:
    """A camera of 30 frames a second, and a worker whose graphs take the time that they are told to take.

    While a graph works the camera goes on: `spend` moves the clock and pushes the frames that fall due.
    """

    def __init__(self, model: Model, engine: WrappedEngine, encode: float, hop: float) -> None:
        self.now = 99.0
        self.costs = {"x_encoder_appearance": encode, "predictor": hop}
        self.pushes = [(100.0 + index / FPS, index) for index in range(int(SECONDS * FPS))]
        heapq.heapify(self.pushes)
        self.windows: list[Any] = []
        self.waits: list[float] = []
        engine.before = lambda name: self.spend(self.costs.get(name, 0.0))
        self.model = model

    def spend(self, seconds: float) -> None:
        end = self.now + seconds
        while self.pushes and self.pushes[0][0] <= end:
            self.now, index = heapq.heappop(self.pushes)
            self.stream.push(IMAGES[index // 90 % 3], index / FPS)
        self.now = end

    def run(self, **options: Any) -> Stream:
        self.stream = self.model.open_stream(live=True, max_idle=0, **options)
        self.stream.subscribe(lambda *_: self.windows.append(self.stream._session.analysis._encoder.times.copy()))
        take = self.stream._session.analysis.take

        def noting(item: Any, output: Any) -> None:
            self.waits.append(self.now - item.admitted)
            take(item, output)

        self.stream._session.analysis.take = noting  # type: ignore[method-assign]
        worked = self.stream._background
        assert worked is not None
        queue = worked.queue
        while self.pushes or len(queue):
            if not len(queue):
                self.spend(self.pushes[0][0] - self.now + 1e-6)
            elif (item := queue.get(0)) is not None:
                worked.work_on(item)
                queue.done()
        self.stream.flush()
        return self.stream


Simulate = Callable[[float, float], Simulation]


@pytest.fixture(scope="module")
def engine() -> WrappedEngine:
    return WrappedEngine()


@pytest.fixture(scope="module")
def toy_model(toy: Path, engine: WrappedEngine) -> Model:
    return Model(Bundle.open(toy), engine)


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch, toy_model: Model, engine: WrappedEngine) -> Simulate:
    def make(encode: float, hop: float) -> Simulation:
        simulation = Simulation(toy_model, engine, encode, hop)
        for module in (stream, admission, analysis, background):
            monkeypatch.setattr(module, "perf_counter", lambda: simulation.now)
        return simulation

    monkeypatch.setattr(background, "serve", lambda *_: None)  # the simulation does the worker's work
    return make


HOPS = (0.01, 0.1, 0.3, 0.7, 1.0, 2.0)


@pytest.mark.parametrize("gap", [None, 0.3])
@pytest.mark.parametrize("hop", HOPS)
def test_slow_hops_make_no_gap_no_uneven_window_and_no_more_texts(
    simulate: Simulate, hop: float, gap: float | None
) -> None:
    quick = simulate(0.005, 0.01).run(policy="uniform:period=1", gap=gap).stats()
    simulation = simulate(0.005, hop)
    stats = simulation.run(policy="uniform:period=1", gap=gap).stats()
    assert (stats.gaps, stats.restarts, stats.stalls) == (0, 0, 0)
    assert stats.decodes <= quick.decodes
    assert_adds_up(stats)
    assert max(simulation.waits) <= 2.0
    assert stats.encoded + stats.dropped + stats.stale == quick.encoded == SECONDS / PERIOD
    assert stats.seconds == pytest.approx(quick.seconds)
    for times in simulation.windows:
        steps = np.diff(times)
        assert np.abs(steps[steps > 0] - PERIOD).max(initial=0) < 0.04
    if hop >= PERIOD:
        assert 0 < stats.hops < quick.hops
        assert stats.hops_put_off > 0
        # Hops still take most of the time that encoding leaves.
        assert stats.hops * hop > 0.6 * SECONDS


@pytest.mark.parametrize("hop", [0.01, 0.3, 2.0])
@pytest.mark.parametrize("encode", [0.26, 0.6])
def test_where_encoding_alone_is_too_slow_the_newest_frames_are_taken(
    simulate: Simulate, encode: float, hop: float
) -> None:
    simulation = simulate(encode, hop)
    stats = simulation.run(policy="uniform:period=1", max_staleness=0.8).stats()
    assert (stats.gaps, stats.stalls) == (0, 0)
    assert stats.dropped > 0 and stats.hops > 2
    assert_adds_up(stats)
    assert max(simulation.waits) <= 0.8
    assert np.median(simulation.waits) < 0.3
    # Encoding has half of the time at least, and the window knows when its frames really were.
    assert stats.encoded * encode > 0.4 * SECONDS
    pushed = {index / FPS for index in range(int(SECONDS * FPS))}
    assert all(set(times.tolist()) <= pushed for times in simulation.windows)


@pytest.mark.parametrize("queue", [1, 2, 3])
def test_a_short_queue_drops_frames_and_still_makes_no_gap(simulate: Simulate, queue: int) -> None:
    stats = simulate(0.005, 1.0).run(policy="uniform:period=1000", queue=queue, gap=0.6).stats()
    assert (stats.gaps, stats.decodes) == (0, 2)
    assert stats.dropped > 0
    assert_adds_up(stats)


def test_a_window_never_spans_lost_frames_that_it_could_not_hold(
    simulate: Simulate,
) -> None:
    simulation = simulate(0.005, 5.0)
    simulation.run(policy="uniform:period=1000", queue=1, max_staleness=10.0)
    assert simulation.stream.stats().gaps == 0
    for times in simulation.windows:
        assert times[-1] - times[0] <= 4.0


def test_a_silent_camera_makes_a_gap_though_frames_were_dropped_around_it(
    simulate: Simulate,
) -> None:
    simulation = simulate(0.005, 1.0)
    simulation.pushes = [(100.0 + t, round(t * FPS)) for t in np.arange(0, 12, 1 / FPS) if not 5 < t < 9]
    stats = simulation.run(policy="uniform:period=1000", queue=2).stats()
    assert (stats.gaps, stats.decodes) == (1, 4)


def test_pace_hops_while_nothing_waits_and_catches_up_before_it_hops_again() -> None:
    pace = Pace(0.25, patience=1.0)
    pace.note_frame(0.01)
    assert pace.can_hop(0.0, 0) and pace.can_hop(0.9, 3)
    pace.note_hop(2.0)
    assert [pace.can_hop(waited, waiting) for waited, waiting in ((1.5, 6), (0.5, 2), (0.2, 1), (0.0, 0))] == [
        False,
        False,
        False,
        True,
    ]


def hop_times(costs: Sequence[float], hop: float, seconds: float, by_frame: bool = False) -> list[tuple[float, float]]:
    """When a worker's hops begin and end. Encoding takes these seconds in turn, of the frames that are encoded or, by
    frame, of those that came; a hop takes `hop`."""
    turns = itertools.count()
    waiting: deque[int] = deque(maxlen=QUEUE)
    pace = Pace(PERIOD, min(STALENESS, QUEUE * PERIOD) / 2)
    now, came, hops = 0.0, itertools.count(), [(0.0, 0.0)]
    next_one = next(came)
    while now < seconds:
        now = max(now, 0.0 if waiting else next_one * PERIOD)
        while next_one * PERIOD <= now:
            waiting.append(next_one)
            next_one = next(came)
        frame = waiting.popleft()
        if not pace.keeps_up and waiting:
            frame = waiting.pop()
            waiting.clear()
        waited = now - frame * PERIOD
        if waited > STALENESS:
            continue
        cost = costs[(frame if by_frame else next(turns)) % len(costs)]
        now += cost
        while next_one * PERIOD <= now:
            waiting.append(next_one)
            next_one = next(came)
        pace.note_frame(cost)
        if pace.can_hop(waited, len(waiting)):
            hops.append((now, now + hop))
            now += hop
            pace.note_hop(hop)
    return [*hops, (now, now)]


def longest_without_a_hop(hops: list[tuple[float, float]]) -> float:
    return max(begun - ended for (_, ended), (begun, _) in itertools.pairwise(hops))


@pytest.mark.parametrize(
    "costs", [(0.42, 0.13), (0.45, 0.1), (0.33, 0.19), (1.0, 0.01), (0.6, 0.01), (0.8, 0.02, 0.02), (0.4, 0.4, 0.02),
              (3.0, *[0.01] * 7)], ids=str
)  # fmt: skip
def test_hops_go_on_where_only_some_frames_are_slow(costs: tuple[float, ...]) -> None:
    for hop, by_frame in itertools.product((0.05, 1.0), (False, True)):
        hops = hop_times(costs, hop, seconds=300.0, by_frame=by_frame)
        assert longest_without_a_hop(hops) < hop + max(costs) + PERIOD


@given(st.lists(st.sampled_from([0.0, 0.01, 0.15, 0.2, 0.24, 0.3, 0.45, 1.0, 3.0]), min_size=1, max_size=24),
       st.sampled_from([0.01, 0.3, 2.0, 5.0]))  # fmt: skip
def test_the_time_without_a_hop_is_bounded_whatever_encoding_takes(costs: list[float], hop: float) -> None:
    """Encoding has its share, the time of a hop, first. From then on no hop is made only while what waits gets less:
    each 8 frames take 0.8 of their time at most, so with each 8 by 0.2 of it; and what waits is never stale."""
    eight = 8 * PERIOD
    catching_up = (STALENESS / (0.2 * eight) + 2) * 0.8 * eight
    hops = hop_times(costs, hop, seconds=120.0)
    assert longest_without_a_hop(hops) <= PERIOD + hop + max(costs) + catching_up


def test_pace_shares_the_time_where_encoding_alone_is_too_slow() -> None:
    pace = Pace(0.25, patience=1.0)
    pace.note_frame(0.5)
    assert pace.keeps_up  # once says nothing
    hops = []
    for index in range(20):
        pace.note_frame(0.5)
        if pace.can_hop(0.1, 2):
            hops.append(index)
            pace.note_hop(1.0)
    assert not pace.keeps_up
    assert [b - a for a, b in itertools.pairwise(hops)] == [2] * (len(hops) - 1)
    pace.restart()
    assert pace.keeps_up
