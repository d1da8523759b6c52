"""What was seen, by text: the same as a plain search over all that was put into the store."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.serve.cameras import until
from tests.store.events import event, pair, unit
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import InputError, StoreError
from vljepa_edge.model import Model, load
from vljepa_edge.perception.text_encoder import TextEncoder
from vljepa_edge.store.entry import Entry
from vljepa_edge.store.reader import StoreReader
from vljepa_edge.store.store import EventStore

NOW = 1_796_000_000.0
STILL: dict[str, float] = {}  # of latencies: none


class Pointing:
    """Embeds every text as one vector."""

    def __init__(self, bundle: Bundle, vector: NDArray[np.float32]) -> None:
        self.bundle = bundle
        self._vector = vector

    def embed_text(self, texts: Iterable[str]) -> NDArray[np.float32]:
        return np.stack([self._vector for _ in texts])


@pytest.fixture
def store(model: Model, tmp_path: Path) -> Iterator[EventStore]:
    made = EventStore(tmp_path / "store", model)
    yield made
    made.close()


def fill(store: EventStore, entries: Iterable[Entry]) -> StoreReader:
    given = list(entries)
    for entry in given:
        store.put(entry)
    until(lambda: len(store.reader.events(limit=100_000)) == len(given))
    return store.reader


def test_it_finds_what_a_plain_search_over_all_of_it_finds(store: EventStore, model: Model) -> None:
    random = np.random.default_rng(5)
    vectors = random.standard_normal((150, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    entries = [
        entry
        for index, vector in enumerate(vectors)
        for entry in pair(2 * index + 1, float(index), index + 1.0, None, embedding=vector)
    ]
    reader = fill(store, entries)
    wanted = unit(*random.standard_normal(16))
    found = reader.search(Pointing(model.bundle, wanted), "anything", 20)
    cosines = vectors.astype(np.float64) @ wanted
    best = np.argsort(-cosines)[:20]
    assert [moment.id for moment in found] == [2 * int(index) + 1 for index in best]
    np.testing.assert_allclose([moment.score for moment in found], cosines[best], atol=2e-3)


def test_a_moment_has_what_its_end_knows_and_the_times_of_both(store: EventStore, model: Model) -> None:
    opened = event("open", 10.0, decided_at=11.0, text="", embedding=unit(0, 1), confidence=None, latency_ms=STILL)
    closed = event("closed", 10.0, 14.5, text="a red ball", embedding=unit(1, 0), decided_at=15.0, latency_ms=STILL)
    reader = fill(store, [Entry(1, 1, "door", NOW, opened, b"p"), Entry(2, 1, "door", NOW + 4, closed)])
    (found,) = reader.search(Pointing(model.bundle, unit(1, 0)), "a red ball")
    assert (found.id, found.stream, found.text, found.confidence) == (1, "door", "a red ball", 0.75)
    assert (found.start, found.end, found.kind, found.interrupted, found.clip) == (10.0, 14.5, "open", False, None)
    assert found.began_at == datetime.fromtimestamp(NOW - 1, timezone.utc)
    assert found.ended_at == datetime.fromtimestamp(NOW + 3.5, timezone.utc)
    assert found.score == pytest.approx(1.0, abs=1e-3)


def test_what_goes_on_is_found_and_what_has_no_embedding_is_not(store: EventStore, model: Model) -> None:
    nothing = np.zeros(16, np.float32)
    reader = fill(
        store,
        [
            Entry(1, 1, "door", NOW, event("open", 1.0)),
            Entry(2, 2, "door", NOW, event("began", 1.0, text="door opens", embedding=nothing)),
            Entry(3, None, "door", NOW, event("stalled", 1.0, text="", embedding=nothing)),
            Entry(4, 4, "door", NOW, event("appeared", 1.0, text="cup", embedding=unit(1))),
        ],
    )
    found = reader.search(Pointing(model.bundle, unit(1)), "a cup", 9)
    assert [(moment.id, moment.kind, moment.end, moment.ended_at) for moment in found] == [
        (4, "appeared", None, None),
        (1, "open", None, None),
    ]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [1, 3, 5]),
        ({"stream": "yard"}, [3]),
        ({"stream": "nosuch"}, []),
        ({"earliest": 5.0}, [3, 5]),
        ({"latest": 95.0}, [1]),
        ({"earliest": 5.0, "latest": 115.0}, [3]),
        ({"earliest": 1000.0}, []),
    ],
)
def test_streams_and_times_narrow_it(
    store: EventStore, model: Model, asked: dict[str, Any], expected: list[int]
) -> None:
    """Three segments of four seconds: from -1 to 3, 99 to 103 and 199 to 203 seconds after NOW."""
    given = {"latency_ms": STILL}
    entries = [
        entry
        for first, stream, later in ((1, "door", 0.0), (3, "yard", 100.0), (5, "door", 200.0))
        for entry in pair(first, 10.0, 14.0, stream=stream, at=NOW + later, **given)
    ]
    reader = fill(store, entries)
    times = {
        name: datetime.fromtimestamp(NOW + value, timezone(timedelta(hours=5))) if name != "stream" else value
        for name, value in asked.items()
    }
    found = reader.search(Pointing(model.bundle, unit(1)), "x", 9, **times)
    assert [moment.id for moment in found] == expected


def test_embeddings_of_another_model_are_not_compared(store: EventStore, tmp_path: Path, model: Model) -> None:
    fill(store, pair(1, 1.0, 2.0))
    store.close()
    other = load(write_toy_bundle(tmp_path / "other", seed=1), threads=1)
    with pytest.raises(StoreError, match=r"another model; search it with --model: toy"):
        store.reader.search(other, "a red ball")
    second = EventStore(store.folder, other)
    second.put(Entry(7, 7, "door", time.time(), event("open", 1.0)))
    until(lambda: len(second.reader.events()) == 3)
    second.close()
    assert [moment.id for moment in second.reader.search(other, "a red ball", 9)] == [7]
    assert [moment.id for moment in second.reader.search(model, "a red ball", 9)] == [1]


@pytest.mark.parametrize("given", [{"text": " "}, {"text": "a", "k": 0}])
def test_what_can_not_be_asked_is_refused(store: EventStore, model: Model, given: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        store.reader.search(model, **given)


def test_the_text_encoder_alone_gives_the_embeddings_of_the_model(model: Model, toy: Path) -> None:
    texts = ["a red ball", "a", "the dog runs to the left of the house"]
    alone = TextEncoder.open(toy, threads=1, precision="f32")
    np.testing.assert_array_equal(alone.embed_text(texts), model.embed_text(texts))
