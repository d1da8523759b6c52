"""Embeddings are of unit norm in float32, whatever engine and precision made them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.streaming.scenes import BLUE, RED, picture, scenes
from tests.streaming.wrapped import Multiplied
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.engines import Precision
from vljepa_edge.errors import EngineError
from vljepa_edge.model import Model, load
from vljepa_edge.perception.finite import unit


def assert_unit(embeddings: object) -> None:
    rows = np.asarray(embeddings)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows.astype(np.float64), axis=-1), 1, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("engine", "precision"),
    [("openvino", "f32"), ("openvino", "auto"), ("onnxruntime", "auto"), ("torch", "auto")],
)
def test_every_engine_gives_unit_norm(toy: Path, engine: str, precision: Precision) -> None:
    model = load(toy, engine=engine, threads=1, precision=precision)
    assert_unit(model.embed_text(["a", "a longer text"]))
    assert_unit(model.embed_video(picture(RED)))
    assert_unit(model.embed_windows(scenes(RED, BLUE, seconds=2))[1])
    rows: list[object] = []
    with model.open_stream(policy="uniform:period=1") as stream:
        stream.subscribe(lambda time, embedding, query: rows.append(embedding))
        events = [event for image, time in scenes(RED, BLUE, seconds=2) for event in stream.push(image, time)]
        events += stream.flush()
    assert {event.status for event in events} == {"open", "closed"}
    assert_unit(rows)
    assert_unit([event.embedding for event in events])


def test_a_graph_that_is_far_off_is_put_right(toy: Path) -> None:
    """bf16 graphs are off by about 1 %, and a graph may not scale its output at all."""
    model = Model(Bundle.open(toy), Multiplied("embedding", 37.0))
    assert_unit(model.embed_text(["a"]))
    assert_unit(model.embed_video(picture(RED)))


@pytest.mark.parametrize("size", [1e-30, 1e-3, 1e30])
def test_no_square_is_too_small_or_too_large(size: float) -> None:
    assert_unit(unit("graph", np.array([[3, 4], [0, 5]], np.float32) * np.float32(size)))


def test_an_embedding_without_a_direction_is_an_error(toy: Path) -> None:
    model = Model(Bundle.open(toy), Multiplied("embedding", 0.0))
    with pytest.raises(EngineError, match="y_encoder: the embedding is zero"):
        model.embed_text(["a"])
    with pytest.raises(EngineError, match="predictor: the embedding is zero"):
        model.embed_video(picture(RED))
