"""A still scene costs no hop, and what a stream says of it is what it says when every hop is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.perception.test_head import make_head
from tests.streaming.scenes import BLUE, GREEN, RED, Image, picture
from tests.streaming.wrapped import WrappedEngine
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.model import Model, load
from vljepa_edge.perception.features import encoder_digest
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.stats import Stats

WINDOW, FPS = 8, 4.0
PICTURES = [picture(colour, seed) for seed, colour in enumerate((RED, GREEN, BLUE))]
ALMOST = PICTURES[0].copy()
ALMOST[17, 5, 1] += 1  # in none of the rows that are compared first
QUERIES = ["What is happening?", "What moves?"]
POLICIES = ["running-ward:threshold=0.2", "local-variance:threshold=0.05", "uniform:period=1.5"]


@pytest.fixture(scope="module")
def vjepa(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model whose window holds the frames themselves."""
    return load(write_toy_bundle(tmp_path_factory.mktemp("idle") / "vjepa", vjepa=True), threads=1, precision="f32")


def counting(toy: Path) -> tuple[Model, WrappedEngine]:
    engine = WrappedEngine()
    return Model(Bundle.open(toy), engine), engine


def everything(event: Event) -> tuple[Any, ...]:
    return (*(value for name, value in event.to_dict().items() if name != "latency_ms"), event.embedding.tobytes())


def watched(model: Model, images: list[Image], max_idle: float, **options: Any) -> tuple[list[tuple[Any, ...]], Stats]:
    """What a stream of two queries, watched labels and a head says of images at the model's rate, and its counts."""
    with model.open_stream(QUERIES, max_idle=max_idle, **options) as stream:
        stream.watch({"red": 0.01, "blue": 0.5})
        row = model.features(images[0])[1][0]
        stream.add_head(make_head(width=len(row), encoder=encoder_digest(model.manifest), threshold=0.3))
        told: list[tuple[Any, ...]] = []
        stream.subscribe(lambda time, embedding, query: told.append((time, embedding.tobytes(), query)))
        events = [event for i, image in enumerate(images) for event in stream.push(image, i / FPS)]
        events += stream.flush()
        return [*map(everything, events), *told], stream.stats()


@given(
    runs=st.lists(st.tuples(st.sampled_from([*PICTURES, ALMOST]), st.integers(1, 2 * WINDOW)), min_size=1, max_size=4),
    policy=st.sampled_from(POLICIES),
    hop=st.sampled_from([0.25, 0.75]),
    max_idle=st.sampled_from([1.0, 10.0, float("inf")]),
)
@settings(max_examples=25)
def test_all_that_is_told_is_the_same(
    runs: list[tuple[Image, int]], policy: str, hop: float, max_idle: float, model: Model
) -> None:
    images = [image for image, count in runs for _ in range(count)]
    plain, counts = watched(model, images, 0, policy=policy, hop=hop)
    found, idle = watched(model, images, max_idle, policy=policy, hop=hop)
    assert found == plain
    assert counts.hops_idle == 0
    assert (idle.hops, idle.events, idle.decodes) == (counts.hops, counts.events, counts.decodes)


def test_it_is_so_where_the_window_holds_frames(vjepa: Model) -> None:
    images = [image for image in PICTURES for _ in range(20)]
    with vjepa.open_stream(policy=POLICIES[0], max_idle=0) as stream:
        plain = [everything(event) for i, image in enumerate(images) for event in stream.push(image, i / FPS)]
    with vjepa.open_stream(policy=POLICIES[0]) as stream:
        found = [everything(event) for i, image in enumerate(images) for event in stream.push(image, i / FPS)]
        assert stream.stats().hops_idle == 60 - 1 - 2 * WINDOW
    assert found == plain and len(found) >= 5


def test_no_graph_runs_while_nothing_changes(toy: Path) -> None:
    model, engine = counting(toy)
    with model.open_stream(QUERIES) as stream:
        stream.push(PICTURES[0], 0.0)
        engine.calls.clear()
        for i in range(1, 20):
            stream.push(PICTURES[0].copy(), i / FPS)
        assert not engine.calls
        assert (stream.stats().hops, stream.stats().hops_idle, stream.stats().encoded) == (20, 19, 20)
        stream.push(ALMOST, 5.0)
        assert engine.calls == {"x_encoder_appearance": 1, "x_encoder_motion": 1, "predictor": 2}
        assert stream.stats().hops_idle == 19


def test_frames_are_encoded_once_while_the_window_still_holds_others(toy: Path) -> None:
    model, engine = counting(toy)
    with model.open_stream() as stream:
        images = [PICTURES[0], *[ALMOST] * (WINDOW + 3)]
        for i, image in enumerate(images):
            stream.push(image, i / FPS)
        assert engine.calls["x_encoder_appearance"] == 2
        assert engine.calls["predictor"] == 1 + WINDOW  # each of the windows that differ
        assert stream.stats().hops_idle == 3


def test_after_so_long_it_is_computed_anew(toy: Path) -> None:
    model, engine = counting(toy)
    with model.open_stream(max_idle=2.0) as stream:
        for i in range(41):
            stream.push(PICTURES[0], i / FPS)
    computed = 1 + 4  # at 0, 2.25, 4.5, 6.75 and 9 s
    assert (engine.calls["x_encoder_appearance"], engine.calls["predictor"]) == (computed, computed)
    assert stream.stats().hops_idle == 41 - computed


def test_memory_that_is_written_again_is_looked_at_again(model: Model) -> None:
    buffer = PICTURES[0].copy()
    with model.open_stream() as stream:
        stream.push(buffer, 0.0)
        buffer[:] = PICTURES[1]
        stream.push(buffer, 0.25)
        assert stream.stats().hops_idle == 0


def test_another_query_is_asked_of_a_still_scene(toy: Path) -> None:
    model, engine = counting(toy)
    with model.open_stream("a") as stream:
        stream.push(PICTURES[0], 0.0)
        stream.add_query("b")
        stream.push(PICTURES[0], 0.25)
        stream.push(PICTURES[0], 0.5)
        assert engine.calls["predictor"] == 2
        assert stream.stats().hops_idle == 1


def test_a_failure_is_tried_again(toy: Path) -> None:
    model, engine = counting(toy)
    with model.open_stream() as stream:
        stream.push(PICTURES[0], 0.0)
        stream.reset()
        stream.push(PICTURES[0], 0.0)
        assert engine.calls["predictor"] == 2
        assert stream.stats().hops_idle == 0


def test_durations_are_those_of_hops_that_were_computed(model: Model) -> None:
    with model.open_stream() as stream:
        for i in range(30):
            stream.push(PICTURES[i // 15], i / FPS)
        stats = stream.stats()
        recorded = stream._session.latencies._counts
    assert stats.hops_idle == 30 - 1 - WINDOW
    assert recorded["hop"] == recorded["predict"] == stats.hops - stats.hops_idle
    assert recorded["scale"] == stats.encoded


def test_a_live_stream_says_the_same(model: Model) -> None:
    images = [image for image in PICTURES for _ in range(20)]
    found: list[Event] = []
    with model.open_stream(policy=POLICIES[0], live=True, queue=100, callback=found.append, max_staleness=1e3) as live:
        for i, image in enumerate(images):
            live.push(image, i / FPS)
        live.flush()
        assert live.stats().hops_idle > 0
    with model.open_stream(policy=POLICIES[0], max_idle=0) as plain:
        events = [event for i, image in enumerate(images) for event in plain.push(image, i / FPS)] + plain.flush()
    assert [everything(event) for event in found] == [everything(event) for event in events]


def test_the_default_model_says_the_same_of_a_still_scene() -> None:
    model = load()
    images = [np.kron(image, np.ones((8, 8, 1), np.uint8)) for image in PICTURES[:2] for _ in range(14)]
    plain, _ = watched(model, images, 0)
    found, stats = watched(model, images, 10.0)
    assert found == plain
    assert stats.hops_idle == 28 - 1 - WINDOW
