"""Public features are what the X-encoder computes, pooled as their document says, and the same in a stream."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.streaming.scenes import BLUE, GREEN, RED, picture, scenes
from tests.streaming.scratch import Scratch
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import VideoError
from vljepa_edge.model import Model, load
from vljepa_edge.perception.features import MOST_KEPT, encoder_digest, pool
from vljepa_edge.perception.vision import Asked
from vljepa_edge.perception.window_encoder import WindowEncoder


def naive(stream: NDArray[np.float32]) -> list[float]:
    """Rows of numbers in loops, as the docstring of `pool` says it, in float64."""
    if stream.size <= MOST_KEPT:
        return [float(value) for value in stream.ravel()]
    if stream.ndim == 2:
        return [float(value) for value in stream[0]]
    wide = stream.astype(np.float64)[0]
    channels = range(wide.shape[-1])
    times = [[float(moment[..., c].mean()) for c in channels] for moment in wide]
    half = len(times) // 2
    means = [sum(row[c] for row in times) / len(times) for c in channels]
    late = [sum(row[c] for row in times[len(times) - half :]) / max(half, 1) for c in channels]
    early = [sum(row[c] for row in times[:half]) / max(half, 1) for c in channels]
    changes = [b - a for a, b in zip(early, late, strict=True)] if len(times) > 1 else []
    return means + changes


@given(
    st.lists(
        st.sampled_from([(1, 7), (1, 5000), (1, 3, 5), (1, 8, 10, 64), (1, 9, 4, 128), (1, 16, 512), (1, 1, 9, 512)]),
        min_size=1,
        max_size=3,
    ),
    st.integers(0, 99),
)
def test_a_row_is_each_stream_whole_or_pooled(shapes: list[tuple[int, ...]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    streams = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    row = pool(streams)
    assert row.dtype == np.float32
    np.testing.assert_allclose(row, [value for stream in streams for value in naive(stream)], atol=1e-5)


def test_features_of_a_source_are_those_of_its_windows_from_scratch(model: Model) -> None:
    frames = [picture((20 * i, 128, 230 - 20 * i), i) for i in range(11)]
    scratch = Scratch(model.bundle)

    def expected(window: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        encoded = [scratch.run("x_encoder_appearance", frame=frame[None]) for frame in window]
        (motion,) = scratch.run("x_encoder_motion", luma=np.stack([item[1][0] for item in encoded])[None])
        return np.concatenate([np.stack([item[0][0] for item in encoded]).ravel(), motion.ravel()])

    times, rows = model.features(frames)
    assert rows.shape == (11, 8 * 4 * 8 + 8) and rows.dtype == np.float32
    np.testing.assert_allclose(times, np.arange(11) / 4)
    padded = [frames[0]] * 7 + frames
    np.testing.assert_allclose(rows, [expected(padded[i : i + 8]) for i in range(11)], atol=1e-4)
    times, full = model.features(frames, full=True, hop=2)
    np.testing.assert_allclose(times, [7 / 4, 9 / 4, 10 / 4])
    np.testing.assert_allclose(full, rows[[7, 9, 10]], atol=1e-6)
    assert model.features(picture(RED))[1].shape == (1, 264)
    with pytest.raises(VideoError):
        model.features([])


def test_a_stream_s_features_span_a_hard_cut_though_its_embeddings_do_not(model: Model) -> None:
    frames = list(scenes(RED, GREEN, seconds=2.5))
    _, expected = model.features(frames)
    query = model.text.query("What?")
    stream, cut = WindowEncoder(model.vision, cuts=True), WindowEncoder(model.vision, cuts=True)
    asked_late = WindowEncoder(model.vision, cuts=True)  # asked after the cut only
    for index, (image, time) in enumerate(frames):
        for encoder in (stream, cut, asked_late):
            encoder.push(image, time)
        np.testing.assert_allclose(stream.pooled(), expected[index], atol=1e-5)
        np.testing.assert_array_equal(stream.embed(query), cut.embed(query))
        if index == 12:
            assert stream.times[0] == 2.5 and not np.allclose(asked_late.pooled(), expected[index], atol=1e-3)
    np.testing.assert_allclose(asked_late.pooled(), expected[-1], atol=1e-5)
    stream.clear()
    stream.push(picture(BLUE), 9.0)
    np.testing.assert_allclose(stream.pooled(), model.features(picture(BLUE))[1][0], atol=1e-5)


def test_no_graph_runs_twice_for_features_where_no_cut_is(model: Model) -> None:
    calls = []

    class Counting:
        video = model.vision.video

        def answer(self, asked: Sequence[Asked]) -> list[Any]:
            calls.extend(type(one).__name__ for one in asked)
            return model.vision.answer(asked)

        def __getattr__(self, name: str) -> object:
            calls.append(name)
            return getattr(model.vision, name)

    encoder = WindowEncoder(Counting(), cuts=True)  # type: ignore[arg-type]
    for image, time in scenes(RED, seconds=3):
        encoder.push(image, time)
        encoder.features()
        encoder.pooled()
        encoder.pooled()
    assert calls.count("Frame") == calls.count("Clip") == calls.count("pool") == 12


def test_a_model_that_takes_whole_clips_has_features_too(tmp_path: Path) -> None:
    model = load(write_toy_bundle(tmp_path / "vjepa", vjepa=True), threads=1, precision="f32")
    frames = [image for image, _ in scenes(RED, BLUE, seconds=1)]
    _, rows = model.features(frames)
    np.testing.assert_allclose(
        rows[-1],
        model.graphs["x_encoder_clip"]({"frames": np.stack(frames)[None]})["features"].ravel(),
        atol=1e-5,
    )


def test_the_digest_names_the_encoder_and_no_other_part(model: Model, tmp_path: Path) -> None:
    digest = encoder_digest(model.manifest)
    assert len(digest) == 64
    others = [
        Bundle.open(write_toy_bundle(tmp_path / "a", seed=1)),
        Bundle.open(write_toy_bundle(tmp_path / "b", fps=5.0)),
        Bundle.open(write_toy_bundle(tmp_path / "c", window=6)),
        Bundle.open(write_toy_bundle(tmp_path / "d", vjepa=True)),
    ]
    assert len({digest, *(encoder_digest(bundle.manifest) for bundle in others)}) == 5
    graphs = dict(model.manifest.graphs)
    graphs["predictor"] = graphs["predictor"].model_copy(update={"sha256": "0" * 64})
    assert encoder_digest(model.manifest.model_copy(update={"graphs": graphs, "name": "other"})) == digest
