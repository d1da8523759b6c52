"""Streams of one model that work at the same time give what each gives alone, and none is hurt by another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.streaming.scenes import BLUE, GREEN, RED, scenes
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.engines import open_engine
from vljepa_edge.errors import FrameError, InputError
from vljepa_edge.model import Model
from vljepa_edge.streaming.event import Event

QUERIES = ("What is happening?", "Which colour is it?", "a", "What moves, and where does it go?")
POLICY = "running-ward:threshold=0.05"
Scenario = tuple[list[tuple[int, int, int]], list[str]]
SCENARIO = st.tuples(
    st.lists(st.sampled_from([RED, GREEN, BLUE]), min_size=1, max_size=3),
    st.lists(st.sampled_from(QUERIES), min_size=1, max_size=3, unique=True),
)


@pytest.fixture(scope="module")
def ready(toy: Path) -> Model:
    """A model whose graphs for several rows are made."""
    engine = open_engine("openvino", threads=1, precision="f32")
    model = Model(Bundle.open(toy), engine)
    for _ in range(3):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda place: watch(model, ([RED, GREEN], list(QUERIES[: 1 + place % 3]))), range(8)))
        engine.settle()
    return model


def watch(model: Model, scenario: Scenario) -> list[Event]:
    colours, queries = scenario
    with model.open_stream(queries, POLICY) as stream:
        for image, time in scenes(*colours, seconds=2):
            stream.push(image, time)
        stream.flush()
        return stream.poll()


def told(events: list[Event]) -> list[tuple[object, ...]]:
    return [(e.status, e.query, e.segment, e.start, e.end, e.decided_at, e.text, round(e.change, 3)) for e in events]


@settings(max_examples=6)
@given(st.lists(SCENARIO, min_size=2, max_size=8))
def test_each_gives_what_it_gives_alone(ready: Model, scenarios: list[Scenario]) -> None:
    alone = [watch(ready, scenario) for scenario in scenarios]
    with ThreadPoolExecutor(len(scenarios)) as pool:
        together = list(pool.map(lambda scenario: watch(ready, scenario), scenarios))
    for one, other in zip(alone, together, strict=True):
        assert told(one) == told(other)
        for event, same in zip(one, other, strict=True):
            assert event.embedding @ same.embedding >= 0.9999


def test_one_that_fails_or_is_closed_does_not_hurt_the_others(ready: Model) -> None:
    scenario: Scenario = ([RED, GREEN, BLUE], list(QUERIES[:2]))
    expected = told(watch(ready, scenario))

    def misbehave(place: int) -> None:
        for _ in range(10):
            with ready.open_stream(QUERIES[place]) as stream, pytest.raises(FrameError):
                stream.push(np.zeros((32, 32, 3), np.uint8), 0.0)
                stream.push(np.zeros((32, 32, 7), np.uint8), 0.25)

    with ThreadPoolExecutor(6) as pool:
        bad = [pool.submit(misbehave, place) for place in range(2)]
        good = [pool.submit(watch, ready, scenario) for _ in range(4)]
        assert [told(one.result()) for one in good] == [expected] * 4
        for one in bad:
            one.result()


def test_texts_that_are_decoded_together_are_those_decoded_alone(ready: Model) -> None:
    rows = np.random.default_rng(0).standard_normal((12, 16)).astype(np.float32)
    alone = [ready.decode_text(row) for row in rows]
    assert len(set(alone)) > 1
    rows[5] = np.nan
    ends = ready.text.decode_each(rows)
    assert [end.value for end in ends if end.error is None] == alone[:5] + alone[6:]
    assert isinstance(ends[5].error, InputError)
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ready.decode_text, [*rows[:5], *rows[6:]])) == alone[:5] + alone[6:]
