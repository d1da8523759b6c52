"""A graph that fails costs a text or a hop, never a segment or the clock."""

from __future__ import annotations

import itertools
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.streaming.scenes import RED, picture
from tests.streaming.wrapped import Overflowing, WrappedEngine
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import EngineError
from vljepa_edge.model import Model
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.policy import parse_policy
from vljepa_edge.streaming.stream import Stream

QUERY = "What is happening?"
IMAGE = picture(RED)


class Switch:
    """A model one of whose graphs fails at chosen calls, counted from the last call of `arm`."""

    def __init__(self, toy: Path, graph: str) -> None:
        self._graph = graph
        self._due: dict[int, None] = {}
        self._calls = itertools.count()
        self.model = Model(Bundle.open(toy), WrappedEngine(self._before))

    def arm(self, *calls: int) -> None:
        self._due, self._calls = dict.fromkeys(calls), itertools.count()

    def _before(self, name: str) -> None:
        if name == self._graph and next(self._calls) in self._due:
            raise EngineError("out of order")


def segments(events: list[Event]) -> list[tuple[object, ...]]:
    """What events say of time, without their texts."""
    return [(e.query, e.status, e.segment, e.start, e.end, e.decided_at) for e in events]


def push_failing(stream: Stream, time: float) -> list[Event]:
    """The events of a push that raises."""
    stream.poll()
    with pytest.raises(EngineError, match="out of order"):
        stream.push(IMAGE, time)
    return stream.poll()


@pytest.mark.parametrize("graph", ["x_encoder_appearance", "x_encoder_motion", "predictor", "y_decoder"])
def test_a_stream_goes_on_after_a_graph_failed(toy: Path, graph: str) -> None:
    failing = threading.Event()

    def before(name: str) -> None:
        if failing.is_set() and name == graph:
            raise EngineError("out of order")

    model = Model(Bundle.open(toy), WrappedEngine(before))
    with model.open_stream(QUERY, "uniform:period=0.25", max_idle=0) as stream:
        stream.push(IMAGE, 0.0)
        failing.set()
        with pytest.raises(EngineError, match="out of order"):
            stream.push(IMAGE, 0.25)
        failing.clear()
        assert stream.push(IMAGE, 0.5)[-1].status == "open"
        assert stream.flush()[-1].end == 0.5
    stats = stream.stats()
    assert (stats.frames, stats.encoded, stats.errors) == (3, 2, 1)


@pytest.mark.parametrize("graph", ["x_encoder_appearance", "predictor"])
def test_a_stream_says_for_how_many_frames_it_has_been_failing(toy: Path, graph: str) -> None:
    switch = Switch(toy, graph)
    counts = []
    with switch.model.open_stream(QUERY, max_idle=0) as stream:
        for index in range(8):
            switch.arm(*range(9 if 2 <= index < 5 else 0))
            with suppress(EngineError):
                stream.push(IMAGE, index / 4)
            counts.append(stream.failing)
        assert counts == [0, 0, 1, 2, 3, 0, 0, 0] and stream.stats().errors == 3
        switch.arm(*range(9))
        push_failing(stream, 2.0)
        stream.reset()
        assert stream.failing == 0


def test_a_decoder_that_is_dead_is_said_though_no_hop_fails(toy: Path) -> None:
    switch = Switch(toy, "y_decoder")
    with switch.model.open_stream(QUERY, "uniform:period=0.5", max_idle=0) as stream:
        stream.push(IMAGE, 0.0)
        switch.arm(*range(999))
        for index in range(1, 9):
            with suppress(EngineError):
                stream.push(IMAGE, index / 4)
        assert stream.failing == 8 and stream.stats().hops == 9, "four segments closed and opened"
        switch.arm()
        stream.push(IMAGE, 2.5)
        assert stream.failing == 0


@pytest.mark.parametrize("call", [0, 5], ids=["of the closing", "of the opening"])
def test_a_cut_whose_text_fails_goes_out_without_it(toy: Path, call: int) -> None:
    switch = Switch(toy, "y_decoder")
    heard: list[Event] = []
    policy = "uniform:period=0.25"
    with (
        switch.model.open_stream(QUERY, policy, callback=heard.append) as stream,
        switch.model.open_stream(QUERY, policy) as sound,
    ):
        for each in (stream, sound):
            each.push(IMAGE, 0.0)
        expected = sound.push(IMAGE, 0.25)
        switch.arm(call)
        events = push_failing(stream, 0.25)
    assert segments(events) == segments(expected)
    texts = [event.text for event in expected]
    texts[0 if call == 0 else 1] = ""
    assert [event.text for event in events] == texts
    assert heard[1:] == events
    assert (stream.stats().events, stream.stats().decodes) == (3, 2)


def test_a_query_whose_prediction_fails_holds_the_others_back(toy: Path) -> None:
    switch = Switch(toy, "predictor")
    with switch.model.open_stream(["a", "b"], "uniform:period=0.5", max_idle=0) as stream:
        stream.push(IMAGE, 0.0)
        stream.push(IMAGE, 0.25)
        switch.arm(1)
        assert push_failing(stream, 0.5) == []
        events = stream.push(IMAGE, 0.75)
    assert [(e.query, e.status, e.segment) for e in events] == [
        (query, status, segment) for query in "ab" for status, segment in (("closed", 0), ("open", 1))
    ]


def test_a_clock_that_starts_again_does_so_even_when_a_text_fails(toy: Path) -> None:
    switch = Switch(toy, "y_decoder")
    with switch.model.open_stream(["a", "b"], "uniform:period=0.5") as stream:
        for index in range(6):
            stream.push(IMAGE, 1000 + index / 4)
        switch.arm(0)
        ended = push_failing(stream, 0.0)
        assert [(e.query, e.status, e.end, e.text != "") for e in ended] == [
            ("a", "closed", 1001.25, False),
            ("b", "closed", 1001.25, True),
        ]
        later = [event for index in range(1, 9) for event in stream.push(IMAGE, index / 4)]
    assert {e.start for e in later if e.status == "open"} >= {0.25, 0.5, 0.75}
    assert all(e.start <= e.decided_at <= 2.0 for e in later)


def test_numbers_that_overflow_are_the_engines_fault(toy: Path) -> None:
    model = Model(Bundle.open(toy), Overflowing("motion"))
    with model.open_stream(QUERY) as stream, pytest.raises(EngineError, match=r"predictor: .*not finite"):
        stream.push(IMAGE, 0.0)


def test_a_text_of_numbers_that_overflow_is_no_text(toy: Path) -> None:
    model = Model(Bundle.open(toy), Overflowing("logits"))
    with model.open_stream(QUERY) as stream, pytest.raises(EngineError, match=r"y_decoder: the logits are not finite"):
        stream.push(IMAGE, 0.0)
    assert [e.text for e in stream.poll()] == [""]


class Moody:
    """A policy in Python that fails at the chosen times and else cuts at every hop."""

    def __init__(self, *bad: float) -> None:
        self._bad = bad
        self._every = parse_policy("uniform:period=0.1")

    def start(self, width: int) -> Moody:
        self._state = self._every.start(width)
        return self

    def push(self, embedding: NDArray[np.float32], time: float) -> object:
        if time in self._bad:
            raise RuntimeError("out of sorts")
        return self._state.push(embedding, time)

    def flush(self, time: float) -> object:
        if time in self._bad:
            raise RuntimeError("out of sorts")
        return self._state.flush(time)

    def reset(self) -> None:
        self._state.reset()


@pytest.mark.parametrize("first", [True, False])
def test_a_policy_that_fails_costs_the_other_queries_nothing(toy: Path, first: bool) -> None:
    model = Model(Bundle.open(toy), WrappedEngine())
    names = ["moody", "steady"] if first else ["steady", "moody"]
    with model.open_stream(names[0], Moody(0.5, 0.75) if first else "uniform:period=0.1") as stream:
        stream.add_query(names[1], "uniform:period=0.1" if first else Moody(0.5, 0.75))  # type: ignore[arg-type]
        for time in (0.0, 0.25):
            stream.push(IMAGE, time)
        for time in (0.5, 0.75):
            stream.poll()
            with pytest.raises(RuntimeError, match="out of sorts"):
                stream.push(IMAGE, time)
            assert [(e.query, e.status) for e in stream.poll()] == [("steady", "closed"), ("steady", "open")]
        with pytest.raises(RuntimeError, match="out of sorts"):
            stream.flush()
        assert [(e.query, e.status, e.end) for e in stream.poll()] == [("steady", "closed", 0.75)]
        assert stream.stats().errors == 2


def test_the_last_segment_ends_even_when_its_text_fails(toy: Path) -> None:
    switch = Switch(toy, "y_decoder")
    with switch.model.open_stream(QUERY) as stream:
        stream.push(IMAGE, 0.0)
        stream.push(IMAGE, 0.25)
        stream.poll()
        switch.arm(0)
        with pytest.raises(EngineError, match="out of order"):
            stream.flush()
        assert [(e.status, e.end, e.text) for e in stream.poll()] == [("closed", 0.25, "")]
        assert stream.flush() == []
