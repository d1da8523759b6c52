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
from vljepa_edge.perception.confidence import Words
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny import card, drawn_figures, real_sets
from vljepa_edge.training.tiny.real_videos import Window
from vljepa_edge.training.tiny.scenes import Painter


def test_a_bundle_of_another_shape_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no output 'appearance' of width 640.*make tiny"):
        card.evaluate(write_toy_bundle(tmp_path / "toy"))


class Seer:
    """A model whose features are texts, and which predicts just that text."""

    def __init__(self) -> None:
        self.manifest = SimpleNamespace(text=SimpleNamespace(default_query="What is happening?"))
        self.text = SimpleNamespace(query=lambda text, cut=False: text)
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


class Talker(Seer):
    """Says and shows what `words` has for each second of a video; each window is a second long."""

    def __init__(self, words: dict[float, tuple[str, Words]]) -> None:
        super().__init__()
        self.manifest.video = SimpleNamespace(window=5, fps=4.0)
        self.words = words
        self.confidence = SimpleNamespace(least=lambda wanted: 0.5, say=self._say)
        self._where = {end: 2.0 * vector(f"end {end}").numpy() for end in words}  # not of unit norm

    def embed_windows(self, source: Path, full: bool) -> tuple[np.ndarray, np.ndarray]:
        return np.array([*self._where]), np.stack([*self._where.values()])

    def _nearest(self, z: np.ndarray) -> tuple[str, Words]:
        assert np.linalg.norm(z) == pytest.approx(1.0, abs=1e-5)
        return self.words[max(self._where, key=lambda end: float(self._where[end] @ z))]

    def decode_text(self, z: np.ndarray) -> str:
        return self._nearest(z)[0]

    def _say(self, text: Any, z: np.ndarray, query: str, least: float) -> Words:
        assert (query, least) == ("What is happening?", 0.5)
        return self._nearest(z)[1]


def test_real_videos_count_what_is_said_and_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [("cat", "animal"), ("cat", "animal"), ("man", "person"), ("cat", "animal")]
    windows = tuple(Window(2.0 * i, 2.0 * i + 1, label, group, (), ("a",)) for i, (label, group) in enumerate(places))
    monkeypatch.setattr(real_sets, "videos", lambda: [real_sets.Video("clip", Path("clip.mp4"), windows)])
    model = Talker({
        1.0: ("A cat sleeps.", Words("A cat sleeps.", 0.9, "specific")),
        3.0: ("A dog runs.", Words("An animal runs.", 0.6, "general")),
        5.0: ("A dog runs.", Words("", 0.2, "none")),
        7.0: ("A dog runs.", Words("A dog runs.", 0.7, "specific")),
    })  # fmt: skip
    found = card.videos(model)  # type: ignore[arg-type]
    assert [row["says_right"] for row in found["rows"]] == [True, False, False, False]
    assert [row["shows_right"] for row in found["rows"]] == [True, True, False, False]
    assert (found["says_right"], found["shown"], found["shown_right"]) == (25.0, 75.0, 66.7)
    model.words = {end: (said, Words("", 0.1, "none")) for end, (said, _) in model.words.items()}
    silent = card.videos(model)  # type: ignore[arg-type]
    assert silent["shown"] == 0.0 and silent["shown_right"] is None
