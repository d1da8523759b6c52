"""The model card: which bundles it judges, and what it films."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.toy_bundle import write_toy_bundle
from tests.training.tiny.fakes import NAMES, cutout, grey_background, vector
from vljepa_edge.errors import InputError
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny import card, drawn_figures
from vljepa_edge.training.tiny.scenes import Painter


def test_a_bundle_of_another_shape_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no output 'appearance' of width 640.*make tiny"):
        card.evaluate(write_toy_bundle(tmp_path / "toy"))


class Seer:
    """A model whose features are texts, and which predicts just that text."""

    def __init__(self) -> None:
        self.manifest = SimpleNamespace(text=SimpleNamespace(default_query="What is happening?"))
        self.text = SimpleNamespace(query=lambda text: text)
        self.vision = SimpleNamespace(predict=lambda features, query: vector(features).numpy())

    def embed_text(self, texts: list[str]) -> np.ndarray:
        return np.stack([vector(text).numpy() for text in texts])


@pytest.mark.parametrize("wrong", [False, True])
def test_the_moving_camera_films_every_motion_and_moves_in_every_clip(
    monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    filmed: list[tuple[float, str]] = []

    def encode(model: Seer, draw: Any, scenes: list[say.Scene], seed: str, what: str) -> list[Any]:
        filmed.extend((draw.__self__.moving, scene.motion) for scene in scenes)
        other = {motion: say.ONE[(i + wrong) % len(say.ONE)] for i, motion in enumerate(say.ONE)}
        shown = [say.caption(say.Scene(other[scene.motion], scene.name), 0) for scene in scenes]
        return [SimpleNamespace(features=text) for text in shown]

    monkeypatch.setattr(card, "_encode", encode)
    painter = Painter({name: [cutout((220, 20, 20))] for name in NAMES}, grey_background())
    right = card.moving_camera(Seer(), painter, "seen", NAMES, 22)  # type: ignore[arg-type]
    assert right == (0.0 if wrong else 100.0)
    assert filmed == [(1.0, motion) for motion in say.ONE] * 2
    assert painter.moving == 0.0


@pytest.mark.parametrize("blind", [False, True])
def test_close_ups_are_judged_by_what_fills_the_frame(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], blind: bool
) -> None:
    class Still:
        def __init__(self, model: Seer, frames: np.ndarray) -> None:
            assert frames.shape == (1, 224, 224, 3)
            far = [int(abs(frames[0, 112, 112].astype(int) - colour).sum()) for colour in colours]
            name = "zebra crossing" if blind else NAMES[int(np.argmin(far))]
            self.features = say.object_captions(name)[1]
            self._concepts = np.broadcast_to(vector(self.features).numpy(), (8, 10, 384)).astype(np.float32)

        def conse(self) -> np.ndarray:
            return self._concepts

    monkeypatch.setattr(card, "Seen", Still)
    colours = [(40 + 25 * i, 220 - 25 * i, 90) for i in range(len(NAMES))]
    painter = Painter({name: [cutout(c)] for name, c in zip(NAMES, colours, strict=True)}, grey_background())
    found = card.close_ups(Seer(), painter, "held", NAMES, 40)  # type: ignore[arg-type]
    assert set(found) == {
        "object_close_up", "zero_training_object_close_up", "answers_exists_close_up", "zero_training_exists_close_up",
    }  # fmt: skip
    said = capsys.readouterr()
    assert said.out == "" and "encoding 40 held close-ups" in said.err  # figures in JSON go to stdout
    if blind:
        assert found["object_close_up"] < 60
    else:
        assert found["object_close_up"] == found["zero_training_object_close_up"] == 100.0


@pytest.mark.parametrize("prompt", range(3))
def test_a_zero_training_read_out_is_given_the_wording_that_suits_it(prompt: int) -> None:
    scenes = [say.Scene("still", name) for name in NAMES for _ in range(5)]

    def shows(name: str) -> Any:
        concepts = np.broadcast_to(vector(say.object_captions(name)[prompt]).numpy(), (8, 10, 384)).astype(np.float32)
        return SimpleNamespace(conse=lambda: concepts)

    seen = [shows(scene.name) for scene in scenes]
    assert card.zero_training(seen, scenes, NAMES, Seer())["windows"] == 100.0  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [(slice(None), 0), (slice(None), slice(1, None)), (3, 4)])
def test_the_best_read_out_of_the_concepts_answers_whether_something_is_there(place: tuple[Any, ...]) -> None:
    """Wherever the thing shows: in the whole frame, in all windows, in one window of one frame."""
    scenes = [say.Scene("still", name) for name in NAMES for _ in range(20)]
    asked = drawn_figures.draw_questions(scenes, "exists", NAMES, seed=0)
    noise = np.random.default_rng(0)

    def shows(name: str) -> Any:
        concepts = noise.normal(size=(8, 10, 384)).astype(np.float32)
        concepts[place] = 30 * vector(say.object_captions(name)[0]).numpy()
        return SimpleNamespace(conse=lambda: concepts)

    right = card.zero_training_exists([shows(scene.name) for scene in scenes], asked, Seer())  # type: ignore[arg-type]
    assert right > 97
    blind = card.zero_training_exists([shows("zebra crossing")] * len(scenes), asked, Seer())  # type: ignore[arg-type]
    assert 50 <= blind < 75
