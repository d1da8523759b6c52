"""Still scenes of cameras: noise is ignored, drifts add up, nothing is starved, and what moves is told as ever."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.streaming.scenes import BLUE, GREEN, RED, Image
from vljepa_edge._core import Still
from vljepa_edge.errors import InputError
from vljepa_edge.model import Model
from vljepa_edge.perception.window import Window
from vljepa_edge.streaming.options import StreamOptions

FPS = 4.0


def noisy(picture: NDArray[np.float64], seed: int, noise: float = 5.0) -> Image:
    """A camera's frame of a picture."""
    grain = np.random.default_rng(seed).normal(0, noise, picture.shape)
    return np.clip(np.rint(picture + grain), 0, 255).astype(np.uint8)


def flat(colour: tuple[int, int, int]) -> NDArray[np.float64]:
    """A picture (32, 32, 3) with soft shades."""
    y, x = np.mgrid[:32, :32]
    return np.array(colour) * 0.8 + (np.sin(x / 7) + np.cos(y / 5))[..., None] * 10 + 20


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99), st.floats(0.2, 30))
def test_frames_are_still_where_the_mean_luma_of_no_block_differs_by_more(
    height: int, width: int, seed: int, levels: float
) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    second = np.clip(first + rng.normal(rng.uniform(-levels, levels), 20, first.shape), 0, 255).astype(np.uint8)
    gate = Still(8, 10.0, levels)
    gate.keep(first, 0.0)
    most = max(map(abs, np.subtract(lumas(first), lumas(second))))
    if abs(most - levels) > 1e-3:  # else too close to call in float32
        assert gate.is_repeated(second) == (most <= levels)
    assert gate.is_repeated(first) and not gate.is_repeated(np.zeros((height + 1, width, 3), np.uint8))


def lumas(frame: Image) -> list[float]:
    """The mean luma of each block."""
    luma = frame.astype(np.float64) @ [0.299, 0.587, 0.114]
    (height, width), high, wide = luma.shape, min(8, len(frame)), min(8, frame.shape[1])
    return [
        luma[top : top + high, left : left + wide].mean()
        for top in range(0, height - high + 1, high)
        for left in range(0, width - wide + 1, wide)
    ]


@given(st.integers(1, 6), st.lists(st.booleans(), max_size=30))
def test_a_window_has_changed_unless_it_holds_one_frame_alone(size: int, steps: list[bool]) -> None:
    gate, plain = Still(size, 10.0, 0.0), list[int]()
    for number, repeats in enumerate(steps):
        before = plain
        plain = [*(plain or [number] * (size - 1)), plain[-1] if repeats and plain else number][-size:]
        assert gate.count(repeats) == (plain != before or not repeats or len(set(plain)) > 1)
        assert gate.same == next((n for n, frame in enumerate(reversed(plain)) if frame != plain[-1]), size)


@given(
    st.floats(0.5, 20),
    st.lists(st.tuples(st.floats(-6, 6), st.floats(0.1, 3)), min_size=1, max_size=60),
    st.floats(0.5, 12),
)
def test_what_stands_in_is_never_far_away_nor_old(
    levels: float, steps: list[tuple[float, float]], longest: float
) -> None:
    """A picture whose light drifts and jumps: each frame is either encoded, or near one that is not too old."""
    gate, time, light = Still(8, longest, levels), 0.0, 128.0
    held: tuple[Image, float] | None = None
    for change, wait in steps:
        time, light = time + wait, min(max(light + change, 0), 255)
        frame = np.full((16, 24, 3), round(light), np.uint8)
        if not (gate.is_repeated(frame) and gate.is_fresh(time)):
            gate.keep(frame, time)
            held = (frame, time)
            continue
        assert held is not None
        assert abs(float(frame.mean() - held[0].mean())) <= levels + 1e-3
        assert time - held[1] <= longest


@given(st.integers(1, 9), st.lists(st.tuples(st.booleans(), st.integers(1, 12)), min_size=1, max_size=30))
def test_renewed_frames_are_those_of_a_plain_list(size: int, steps: list[tuple[bool, int]]) -> None:
    window, plain = Window(size), list[float]()
    for number, (renews, count) in enumerate(steps):
        feature = {"feature": np.full((1, 2), float(number))}
        window.push(feature, float(number))
        plain = [*(plain or [float(number)] * size), float(number)][-size:]
        if renews:
            feature = {"feature": np.full((1, 2), -float(number))}
            window.renew(feature, count)
            plain[-min(count, size) :] = [-float(number)] * min(count, size)
        assert window.stacked("feature")[0, :, 0].tolist() == plain


def test_a_camera_that_looks_at_nothing_costs_next_to_nothing_and_is_never_starved(model: Model) -> None:
    picture, seconds = flat(GREEN), 60
    with model.open_stream(still=3, max_idle=10, policy="uniform:period=5", decode="none") as stream:
        encoded = []
        for index in range(int(seconds * FPS)):
            before = stream.stats().still
            stream.push(noisy(picture, index), index / FPS)
            if stream.stats().still == before:
                encoded.append(index / FPS)
        stats = stream.stats()
    assert stats.encoded == seconds * FPS and stats.still == stats.encoded - len(encoded)
    assert encoded[0] == 0 and all(10 < b - a <= 10 + 1 / FPS for a, b in pairwise(encoded)) and len(encoded) == 6
    assert stats.hops == stats.encoded
    assert stats.hops - stats.hops_idle == len(encoded)


def test_without_it_a_cameras_noise_is_no_still_scene(model: Model) -> None:
    with model.open_stream(decode="none") as stream:
        for index in range(40):
            stream.push(noisy(flat(GREEN), index), index / FPS)
        assert (stream.stats().still, stream.stats().hops_idle) == (0, 0)


@pytest.mark.parametrize("per_second", [0.5, 2.0])
def test_a_slow_fade_opens_it_again_and_again(model: Model, per_second: float) -> None:
    with model.open_stream(still=3, max_idle=float("inf"), decode="none") as stream:
        for index in range(240):
            stream.push(noisy(flat(BLUE) + per_second * index / FPS, index, noise=2), index / FPS)
        stats = stream.stats()
    assert (stats.encoded - stats.still) * 4 >= per_second * 60  # at least once in four levels
    assert stats.still > 60


@given(scenes=st.lists(st.tuples(st.sampled_from([RED, GREEN, BLUE]), st.integers(10, 30)), min_size=1, max_size=4))
@settings(max_examples=10)
def test_no_event_of_what_changes_is_lost(scenes: list[tuple[tuple[int, int, int], int]], model: Model) -> None:
    pictures = [flat(colour) for colour, count in scenes for _ in range(count)]
    told = []
    for still in (0.0, 3.0):
        with model.open_stream(still=still, policy="running-ward:threshold=0.1") as stream:
            events = [e for i, picture in enumerate(pictures) for e in stream.push(noisy(picture, i), i / FPS)]
            events += stream.flush()
        told.append([replace(e, text="", confidence=None, wording="none", change=0.0, latency_ms={}) for e in events])
    assert told[0] == told[1]


@pytest.mark.parametrize("still", [-1, 256, float("nan"), "3", True])
def test_levels_are_a_number_from_0_to_255(still: float) -> None:
    with pytest.raises(InputError, match="still must be a number of levels, 0 to 255"):
        StreamOptions(still=still)
