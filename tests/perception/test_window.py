"""The sliding window against a plain list of the last frames."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vljepa_edge.errors import InputError
from vljepa_edge.perception.window import Window


def features(number: int) -> dict[str, NDArray[np.float32]]:
    return {"grid": np.full((1, 2, 3), number, np.float32), "luma": np.full((1, 4), -number, np.float32)}


@given(st.integers(1, 9), st.lists(st.booleans(), max_size=40))
def test_equals_the_last_frames_padded_with_the_first(size: int, clears: list[bool]) -> None:
    window = Window(size)
    pushed: list[int] = []
    for number, clear in enumerate(clears):
        if clear:
            window.clear()
            pushed.clear()
        window.push(features(number), number / 4)
        pushed.append(number)
        expected = ([pushed[0]] * size + pushed)[-size:]
        assert len(window) == min(len(pushed), size)
        assert window.stacked("grid").shape == (1, size, 2, 3)
        assert window.stacked("grid")[0, :, 1, 2].tolist() == expected
        assert window.stacked("luma")[0, :, 0].tolist() == [-number for number in expected]
        assert window.times.tolist() == [number / 4 for number in expected]


def test_stacking_copies_nothing() -> None:
    window = Window(3)
    for number in range(5):
        window.push(features(number), number)
    first, second = window.stacked("grid"), window.stacked("grid")
    assert first.flags.c_contiguous
    assert np.shares_memory(first, second)


def test_what_was_pushed_may_change_afterwards() -> None:
    window = Window(2)
    frame = features(1)
    window.push(frame, 0)
    frame["grid"][:] = 9
    assert window.stacked("grid").max() == 1


def test_memory_is_flat() -> None:
    window = Window(8)
    frame = {"grid": np.zeros((1, 64, 64), np.float32)}
    window.push(frame, 0)
    tracemalloc.start()
    for number in range(20_000):
        window.push(frame, number)
        window.stacked("grid")
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 20_000
    assert peak < 50_000


def test_shapes_may_change_after_a_clear() -> None:
    window = Window(2)
    window.push({"grid": np.ones((1, 3), np.float32)}, 0)
    window.clear()
    window.push({"other": np.ones((1, 5), np.uint8)}, 1)
    assert window.stacked("other").shape == (1, 2, 5)
    with pytest.raises(InputError, match="holds no 'grid'; it holds other"):
        window.stacked("grid")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"grid": np.zeros((1, 2, 3), np.float32)}, "the window holds grid, luma"),
        (features(0) | {"grid": np.zeros((1, 2, 4), np.float32)}, r"must be float32 \(1, 2, 3\) until clear\(\)"),
        (features(0) | {"grid": np.zeros((2, 2, 3), np.float32)}, r"must be float32 \(1, 2, 3\) until clear\(\)"),
        (features(0) | {"luma": np.zeros((1, 4), np.float64)}, r"must be float32 \(1, 4\) until clear\(\)"),
    ],
)
def test_frames_that_do_not_fit(bad: dict[str, NDArray[np.float32]], reason: str) -> None:
    window = Window(2)
    window.push(features(0), 0)
    with pytest.raises(InputError, match=reason):
        window.push(bad, 1)
    assert window.times.tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(), (2, 3), (0, 3)])
def test_a_first_frame_without_its_leading_axis(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"must have the shape \(1, \.\.\.\)"):
        Window(2).push({"grid": np.zeros(shape)}, 0)


def test_an_empty_window_has_nothing_to_give() -> None:
    with pytest.raises(InputError, match="empty"):
        Window(2).stacked("grid")
    with pytest.raises(InputError, match="at least 1 frame, got"):
        Window(0)
