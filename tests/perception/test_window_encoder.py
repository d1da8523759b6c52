"""The window encoder computes what encoding the window from scratch gives, and each graph no more often than needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.streaming.scenes import BLUE, GREEN, RED, picture, scenes
from tests.streaming.scratch import Scratch
from vljepa_edge.errors import InputError
from vljepa_edge.model import Model
from vljepa_edge.perception.vision import Asked, Clip, Frame, Questions
from vljepa_edge.perception.window_encoder import WindowEncoder

QUERY = "Which colour?"


class CountingVision:
    """A Vision that counts what it is asked."""

    def __init__(self, model: Model) -> None:
        self._vision, self.video = model.vision, model.vision.video
        self.asked = {Frame: 0, Clip: 0, Questions: 0}

    def answer(self, asked: Sequence[Asked]) -> list[Any]:
        for one in asked:
            self.asked[type(one)] += 1
        return self._vision.answer(asked)

    def __getattr__(self, name: str) -> object:
        return getattr(self._vision, name)


def test_each_window_is_what_encoding_it_from_scratch_gives(model: Model) -> None:
    encoder, scratch = WindowEncoder(model.vision), Scratch(model.bundle)
    query = model.text.query(QUERY)
    seen = []
    for image, time in scenes(RED, GREEN, BLUE, seconds=1.5):
        encoder.push(model.vision.prepare(image), time)
        seen.append(image)
        window = [seen[0]] * (8 - len(seen)) + seen[-8:]
        np.testing.assert_allclose(encoder.embed(query), scratch.embed_window(window, QUERY), atol=1e-5)
        assert encoder.times[-1] == time


def test_a_frame_is_encoded_once_and_a_window_once_for_all_queries(model: Model) -> None:
    vision = CountingVision(model)
    encoder = WindowEncoder(vision)  # type: ignore[arg-type]
    for index in range(5):
        encoder.push(picture(RED), index / 4)
    assert vision.asked == {Frame: 5, Clip: 0, Questions: 0}
    for text in ("a", "b", "c"):
        encoder.embed(model.text.query(text))
    assert vision.asked == {Frame: 5, Clip: 1, Questions: 3}


def test_a_cleared_encoder_starts_with_the_next_frame(model: Model) -> None:
    query = model.text.query(QUERY)
    used, fresh = WindowEncoder(model.vision), WindowEncoder(model.vision)
    for index in range(9):
        used.push(picture(RED), index / 4)
    used.embed(query)
    used.clear()
    with pytest.raises(InputError, match="push a frame first"):
        used.embed(query)
    for encoder in (used, fresh):
        encoder.push(picture(GREEN), 7.0)
    np.testing.assert_array_equal(used.embed(query), fresh.embed(query))


def test_there_is_one_window_encoder() -> None:
    """Nothing else pushes frames into a window, gathers it and encodes the clip."""
    root = Path(__file__).parents[2]
    users = [
        str(path.relative_to(root))
        for folder in ("vljepa_edge", "training", "benchmarks")
        for path in sorted((root / folder).rglob("*.py"))
        if ".gather(" in path.read_text() and "Clip(" in path.read_text()
    ]
    assert users == ["vljepa_edge/perception/window_encoder.py"]
