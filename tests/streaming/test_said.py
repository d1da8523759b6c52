"""Texts that are used again: only near what was decoded, of the same query, and nothing else of an event changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.streaming.scenes import BLUE, GREEN, RED, picture
from tests.streaming.wrapped import WrappedEngine
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import EngineError, InputError
from vljepa_edge.model import Model
from vljepa_edge.perception.confidence import Words
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.options import StreamOptions
from vljepa_edge.streaming.said import Said
from vljepa_edge.streaming.stats import Stats

KEPT, WIDTH = 64, 3


@given(st.integers(0, 10**6), st.floats(0.001, 0.5), st.integers(1, 3 * KEPT))
def test_it_is_a_list_of_the_last_used_texts(seed: int, radius: float, steps: int) -> None:
    """Against a plain list, newest use last; few directions, so that many are near each other."""
    rng = np.random.default_rng(seed)
    said, plain = Said(radius), list[tuple[np.ndarray, bool, Words]]()
    for step in range(steps):
        row = rng.normal(size=WIDTH)
        row = (row / np.linalg.norm(row)).astype(np.float32)
        is_mean = bool(rng.random() < 0.5)
        near = [(1 - float(row @ other), place) for place, (other, mean, _) in enumerate(plain) if mean or not is_mean]
        found = said.find(row, is_mean)
        distance, place = min(near, default=(9.0, -1))
        if abs(distance - radius) < 1e-5:
            return  # too close to call in float32
        assert (found is None) == (distance > radius)
        if found is not None:
            entry = plain[place]
            assert 1 - float(row @ next(other for other, _, words in plain if words is found)) <= distance + 1e-5
            entry = next(entry for entry in plain if entry[2] is found)
            plain = [other for other in plain if other is not entry] + [entry]
        else:
            words = Words(str(step), None, "specific")
            said.keep(row, is_mean, words)
            plain = [*plain, (row, is_mean, words)][-KEPT:]
        assert len(said) == len(plain) <= KEPT


def run(model: Model, reuse: float, decode: str = "both", rounds: int = 3) -> tuple[list[Event], Stats]:
    """Three colours that return again and again."""
    with model.open_stream(
        ["What?", "Where?"], reuse=reuse, decode=decode, policy="running-ward:threshold=0.05"
    ) as stream:
        events, index = [], 0
        for _ in range(rounds):
            for colour in (RED, GREEN, BLUE):
                for _ in range(16):
                    events += stream.push(picture(colour, index), index / 4)
                    index += 1
        return events + stream.flush(), stream.stats()


@pytest.mark.parametrize("decode", ["both", "open", "closed"])
def test_scenes_that_return_cost_no_text_and_all_else_stays(model: Model, decode: str) -> None:
    plain, counts = run(model, 0.0, decode)
    events, fewer = run(model, 0.05, decode)
    assert counts.reuses == 0 and not any(event.reused for event in plain)
    assert fewer.reuses >= counts.decodes // 3
    assert fewer.decodes + fewer.reuses == counts.decodes
    assert fewer.reuses == sum(event.reused for event in events)
    for event, other in zip(events, plain, strict=True):
        assert replace(event, text="", confidence=None, wording="none", reused=False, latency_ms={}) == replace(
            other, text="", confidence=None, wording="none", latency_ms={}
        )
        assert ("decode" in event.latency_ms) == (event.wording != "none" and not event.reused)
    for place, event in enumerate(events):
        if event.reused:
            before = [
                other
                for other in events[:place]
                if other.query == event.query and not other.reused and (other.end is not None or event.end is None)
            ]
            near = [other for other in before if 1 - event.embedding @ other.embedding <= 0.05 + 1e-5]
            assert (event.text, event.confidence, event.wording) in [(o.text, o.confidence, o.wording) for o in near]


def test_a_reset_forgets_and_a_text_that_failed_is_not_kept(toy: Path) -> None:
    engine = WrappedEngine()
    model = Model(Bundle.open(toy), engine)
    frames = [
        (picture(colour, n), (16 * scene + n) / 4) for scene, colour in enumerate((RED, GREEN)) for n in range(16)
    ]
    with model.open_stream(reuse=0.05, decode="open", policy="uniform:period=1") as stream:
        failing = [True]

        def before(name: str) -> None:
            if name == "y_decoder" and failing:
                failing.clear()
                raise EngineError("no words")

        engine.before = before
        with pytest.raises(EngineError):
            stream.push(*frames[0])
        events = [event for frame in frames[1:] for event in stream.push(*frame)]
        opened = [event for event in events if event.end is None]
        assert not opened[0].reused and opened[1].reused
        stream.reset()
        again = [event for frame in frames for event in stream.push(*frame) if event.end is None]
        assert not again[0].reused and again[1].reused


@pytest.mark.parametrize("reuse", [-0.1, 1.5, float("nan"), "near", True])
def test_a_radius_is_a_number_from_0_to_1(reuse: float) -> None:
    with pytest.raises(InputError, match="reuse must be"):
        StreamOptions(reuse=reuse)
