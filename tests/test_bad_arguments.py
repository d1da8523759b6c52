"""Whatever a public call is given, it works or raises an error of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vljepa_edge
from tests.streaming.scenes import RED, picture
from vljepa_edge import Bundle, Index, InputError, Model, Stream, StreamOptions, VLJepaError

IMAGE = picture(RED)


class Odd:
    """An object that nothing is known of, and whose repr fails."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def make_bad() -> dict[str, Any]:
    """Values of every kind that someone has passed by mistake; made again, since a generator is used up."""
    return {
        "None": None,
        "bool": True,
        "zero": 0,
        "negative": -3,
        "huge": 10**400,
        "very huge": 10**5000,
        "float": 2.5,
        "NaN": float("nan"),
        "inf": float("inf"),
        "complex": 1j,
        "decimal": Decimal("1.5"),
        "empty text": "",
        "blank text": "  ",
        "NUL": "a\0b",
        "surrogate": "\ud800",
        "long text": "x" * 100_000,
        "bytes": b"text",
        "bytearray": bytearray(b"text"),
        "empty list": [],
        "nested": [[1], [1, 2]],
        "list of None": [None],
        "list of bytes": [b"a"],
        "list of floats": [1.0, float("nan")],
        "dict": {"a": 1},
        "set": {"a"},
        "generator of texts": (text for text in ["a", "b"]),
        "generator of numbers": (number for number in range(3)),
        "range": range(3),
        "object": object(),
        "odd": Odd(),
        "class": int,
        "function": len,
        "0-d array": np.array(1.0),
        "object array": np.array([None, "a"]),
        "text array": np.array(["a", "b"]),
        "float array": np.ones((2, 3)),
        "NaN array": np.full(16, np.nan),
        "complex array": np.ones(16, complex),
        "datetime": np.datetime64("2026-01-01"),
        "path": Path("nowhere"),
    }


@dataclass
class Given:
    """What the calls are made on."""

    model: Model
    toy: Path
    index: Index
    stream: Stream
    saved: Path

    def opened(self, **arguments: Any) -> None:
        self.model.open_stream(**arguments).close()

    def read(self, source: Any, **arguments: Any) -> None:
        with self.model.stream(source, **arguments) as events:
            list(events)


def load(given: Given, **arguments: Any) -> None:
    """With threads=1 unless another number is asked for, and not the default bundle, which takes longer."""
    if arguments.get("path", given.toy) is not None:
        vljepa_edge.load(**{"path": given.toy, "threads": 1} | arguments)


# Each argument of each public call, as a function of its value.
CALLS: dict[str, Callable[[Given, Any], object]] = {
    "load path": lambda given, value: load(given, path=value),
    "load engine": lambda given, value: load(given, engine=value),
    "load threads": lambda given, value: load(given, threads=value),
    "load precision": lambda given, value: load(given, precision=value),
    "Bundle.open": lambda given, value: Bundle.open(value),
    "Bundle.read": lambda given, value: given.model.bundle.read(value),
    "embed_text": lambda given, value: given.model.embed_text(value),
    "embed_text item": lambda given, value: given.model.embed_text([value]),
    "decode_text": lambda given, value: given.model.decode_text(value),
    "embed_video source": lambda given, value: given.model.embed_video(value),
    "embed_video source item": lambda given, value: given.model.embed_video([(IMAGE, value)]),
    "embed_video query": lambda given, value: given.model.embed_video(IMAGE, value),
    "windows hop": lambda given, value: list(given.model.windows(IMAGE, hop=value)),
    "embed_windows hop": lambda given, value: given.model.embed_windows(IMAGE, hop=value),
    "open": lambda given, value: given.model.open(value).close(),
    "open live": lambda given, value: given.model.open(IMAGE, live=value).close(),
    "classify source": lambda given, value: given.model.classify(value, ["a", "b"]),
    "classify labels": lambda given, value: given.model.classify(IMAGE, value),
    "classify query": lambda given, value: given.model.classify(IMAGE, ["a", "b"], value),
    "answer question": lambda given, value: given.model.answer(IMAGE, value),
    "answer candidates": lambda given, value: given.model.answer(IMAGE, "What?", value),
    "transition before": lambda given, value: given.model.transition(value, IMAGE, [IMAGE]),
    "transition candidates": lambda given, value: given.model.transition(IMAGE, IMAGE, value),
    "stream source": lambda given, value: given.read(value),
    "stream query": lambda given, value: given.read(IMAGE, query=value),
    "stream policy": lambda given, value: given.read(IMAGE, policy=value),
    "open_stream query": lambda given, value: given.opened(query=value),
    "open_stream callback": lambda given, value: given.opened(callback=value),
    "open_stream policy": lambda given, value: given.opened(policy=value),
    "open_stream hop": lambda given, value: given.opened(hop=value),
    "open_stream queue": lambda given, value: given.opened(queue=value),
    "open_stream max_staleness": lambda given, value: given.opened(max_staleness=value),
    "open_stream max_idle": lambda given, value: given.opened(max_idle=value),
    "open_stream gap": lambda given, value: given.opened(gap=value),
    "open_stream options": lambda given, value: given.opened(options=value),
    "StreamOptions": lambda given, value: StreamOptions(value),
    "push frame": lambda given, value: given.stream.push(value, 0.0),
    "push time": lambda given, value: given.stream.push(IMAGE, value),
    "set_query": lambda given, value: given.stream.set_query(value),
    "set_policy": lambda given, value: given.stream.set_policy(value),
    "add_query": lambda given, value: given.stream.add_query(value),
    "add_query policy": lambda given, value: given.stream.add_query(f"{id(value)}?", value),
    "remove_query": lambda given, value: given.stream.remove_query(value),
    "labels": lambda given, value: given.model.labels(value),
    "labels texts": lambda given, value: given.model.labels({"a": value}),
    "labels name": lambda given, value: given.model.labels([value]),
    "Labels.scores": lambda given, value: given.model.labels(["a"]).scores(value),
    "Labels.probabilities": lambda given, value: given.model.labels(["a"]).probabilities(value),
    "Labels.found least": lambda given, value: given.model.labels(["a"]).found(np.ones(16, np.float32), value),
    "watch": lambda given, value: given.stream.watch(value),
    "watch value": lambda given, value: given.stream.watch({"a": value}),
    "watch hold": lambda given, value: given.stream.watch(["a"], value),
    "subscribe": lambda given, value: given.stream.subscribe(value)(),
    "Index model": lambda given, value: Index(value),
    "Index query": lambda given, value: Index(given.model, value),
    "Index.add source": lambda given, value: given.index.add(value),
    "Index.add name": lambda given, value: given.index.add(IMAGE, name=value),
    "Index.search text": lambda given, value: given.index.search(value),
    "Index.search k": lambda given, value: given.index.search("a", value),
    "Index.load folder": lambda given, value: Index.load(value, given.model),
    "Index.load model": lambda given, value: Index.load(given.saved, value),
    "Index.save": lambda given, value: given.index.save(value),
    "Stream model": lambda given, value: Stream(value),
    "parse_policy": lambda given, value: vljepa_edge.parse_policy(value),
    "RunningWard threshold": lambda given, value: vljepa_edge.RunningWard(threshold=value),
    "RunningWard smooth": lambda given, value: vljepa_edge.RunningWard(smooth=value),
    "Uniform period": lambda given, value: vljepa_edge.Uniform(period=value),
    "segment embeddings": lambda given, value: vljepa_edge.segment(value, count=1),
    "segment times": lambda given, value: vljepa_edge.segment(np.eye(2), value, count=1),
    "segment count": lambda given, value: vljepa_edge.segment(np.eye(2), count=value),
    "segment threshold": lambda given, value: vljepa_edge.segment(np.eye(2), threshold=value),
}


@pytest.fixture(scope="module")
def given(model: Model, toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Given]:
    index = Index(model)
    index.add(IMAGE, "red")
    saved = index.save(tmp_path_factory.mktemp("index") / "saved")
    with model.open_stream(query="kept") as stream:
        yield Given(model, toy, index, stream, saved)


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_argument_is_an_error_of_this_package(
    name: str, given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    leaked = []
    for kind, value in make_bad().items():
        try:
            CALLS[name](given, value)
        except VLJepaError as error:
            if not str(error) or "\n" in str(error):
                leaked.append(f"{kind}: the message {error!s:.80}")
        except BaseException as error:
            leaked.append(f"{kind}: {type(error).__name__}: {error!s:.80}")
    assert leaked == []


@pytest.mark.parametrize(
    "name",
    [
        *("embed_text", "classify labels", "answer candidates", "stream query", "open_stream query", "set_query"),
        *("labels", "watch"),
    ],
)
@pytest.mark.parametrize("kind", ["list", "tuple", "generator", "array", "dict view"])
def test_an_ordered_collection_of_texts_is_taken_as_a_list_is(name: str, kind: str, given: Given) -> None:
    texts = [f"{kind} one", f"{kind} two"]
    made: dict[str, Any] = {
        "list": texts,
        "tuple": tuple(texts),
        "generator": (text for text in texts),
        "array": np.array(texts),
        "dict view": dict.fromkeys(texts).keys(),
    }
    CALLS[name](given, made[kind])
    if name == "embed_text":
        again = (text for text in texts)
        np.testing.assert_array_equal(given.model.embed_text(again), given.model.embed_text(texts))
    if name == "set_query":
        assert given.stream.queries == tuple(texts)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("embed_text", "a dog", "texts must be a list of texts, not one text; write ['a dog']"),
        ("embed_text", None, "texts must be a list of texts, got None"),
        ("embed_text", [b"a"], "each of the texts must be a text, got b'a'"),
        ("Index.search k", 2.5, "k must be an integer, at least 1, got 2.5"),
        ("Index.search k", True, "k must be an integer, at least 1, got True"),
        ("windows hop", 0, "hop must be an integer, at least 1 frames, got 0"),
        ("open_stream query", 5, "query must be a text or a list of texts, got 5"),
        ("open_stream callback", 5, "callback must be a function, got 5"),
        ("load threads", 0.5, "threads must be an integer, 1 to 1024, got 0.5"),
        ("push time", "1.5", "time must be a number of seconds, got '1.5'"),
        ("subscribe", None, "subscriber must be a function, got None"),
        ("Index model", 5, "model must be a Model, got 5"),
    ],
)
def test_the_message_says_what_is_allowed_and_what_came(name: str, value: object, said: str, given: Given) -> None:
    with pytest.raises(InputError) as caught:
        CALLS[name](given, value)
    assert str(caught.value) == said
