"""Photographs are split: one half chooses settings, the other is reported, and a tie is no answer."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.training.tiny.fakes import vector
from vljepa_edge.bundle.manifest import PromptsEntry
from vljepa_edge.nn.tiny_streams import GRID_WIDTH
from vljepa_edge.training.everyday.queries import OBJECT_QUERIES
from vljepa_edge.training.tiny import captions, card_text, photographs, real_sets
from vljepa_edge.training.tiny.real_photos import ROWS

LABELS = ("apple", "dog", "owl", "umbrella")
SHIPPED = OBJECT_QUERIES[1], photographs.WORDINGS[2]


def photo(i: int) -> real_sets.Photo:
    label = LABELS[i % 4]
    return real_sets.Photo(f"photo {i}", np.full((2, 2, 3), i, np.uint8), label, (label,), LABELS, f"package:{i}.jpg")


PHOTOS = [photo(i) for i in range(40)]
TUNING = [p for p in PHOTOS if p.tuning]
REPORTED = [p for p in PHOTOS if not p.tuning]


def test_the_two_halves_are_about_as_large_and_no_photograph_is_in_both() -> None:
    assert 0.4 * len(PHOTOS) <= len(TUNING) <= 0.6 * len(PHOTOS) and len(TUNING) + len(REPORTED) == len(PHOTOS)
    rows = [real_sets.Photo(row.name, PHOTOS[0].image, row.label, (), (), row.place) for row in ROWS]
    assert (len(rows), sum(p.tuning for p in rows)) == (177, 81)
    assert len({p.source for p in rows}) == len(rows)  # or one photograph might be in both halves under two names


def guesses(ways: dict[str, tuple[int, int]]) -> dict[str, dict[str, str]]:
    """By photograph, what each way says: right for the first so many of the tuning half and of the reported half."""
    found: dict[str, dict[str, str]] = {}
    for half, which in ((TUNING, 0), (REPORTED, 1)):
        for i, p in enumerate(half):
            found[p.name] = {way: p.label if i < right[which] else "fox" for way, right in ways.items()}
    return found


def test_settings_are_chosen_by_the_tuning_half_alone_and_reported_by_the_other() -> None:
    good, bad = 15, 2
    ways = {
        "model": (9, 5), "model, a / x": (bad, good), "model, a / y": (good, bad), "conse_one": (bad, good),
        "conse_two": (good, bad),
    }  # fmt: skip
    found = photographs.summary(PHOTOS, guesses(ways), "a / x")
    reported, tuning = found["real_photos"], found["real_photos_tuning"]
    assert tuning["best_setting"] == "a / y" and tuning["read_out"] == "conse_two"
    assert reported["best_zero_training"] == round(100 * bad / len(REPORTED), 1)  # not the better one of this half
    assert reported["model"] == round(100 * 5 / len(REPORTED), 1)
    assert (reported["count"], tuning["count"]) == (len(REPORTED), len(TUNING))
    assert {row["photo"] for row in reported["rows"]} == {p.name for p in REPORTED}
    assert "not chosen by these photographs alone" in "\n".join(card_text._tuning_lines(tuning))
    assert "ways" not in reported  # the reported half has nothing to choose from


class Viewer:
    """A model that says of a picture what `said` is; `asked` and `worded`: the way that it understands."""

    def __init__(self, said: Any, value: float = 1.0) -> None:
        self.said, self.value = said, value
        prompts = PromptsEntry(classify_query=SHIPPED[0], classify=SHIPPED[1])
        self.manifest = SimpleNamespace(prompts=prompts, text=SimpleNamespace(default_query="What is happening?"))
        self.vision = SimpleNamespace(prepare=lambda image: image, encode_frame=self._encode)

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([vector(text).numpy() for text in texts])

    def embed_video(self, image: np.ndarray, query: str) -> np.ndarray:
        return self.value * vector(SHIPPED[1].format(label=self.said(int(image[0, 0, 0])))).numpy()

    def classify(self, image: np.ndarray, labels: Sequence[str]) -> list[SimpleNamespace]:
        scores = self.embed_text([SHIPPED[1].format(label=label) for label in labels]) @ self.embed_video(image, "")
        return [SimpleNamespace(label=labels[i], score=float(scores[i])) for i in np.argsort(-scores, kind="stable")]

    def _encode(self, image: np.ndarray) -> dict[str, np.ndarray]:
        concept = self.value * vector(captions.object_captions(self.said(int(image[0, 0, 0])))[1]).numpy()
        return {"appearance": np.tile(np.concatenate([np.zeros(GRID_WIDTH), concept]), (1, 10, 1))}


def test_a_model_that_sees_is_right_and_the_way_that_suits_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_sets, "photos", lambda: PHOTOS)
    found = photographs.measure(Viewer(lambda i: LABELS[i % 4]))  # type: ignore[arg-type]
    assert found["real_photos"]["model"] == found["real_photos"]["best_zero_training"] == 100.0
    assert found["real_photos_tuning"]["best_setting"].endswith(SHIPPED[1])
    assert found["real_photos_tuning"]["read_out"] in ("conse_frame_1", "conse_windows_1")
    text = "\n".join(card_text._tuning_lines(found["real_photos_tuning"]))
    assert f"{len(TUNING)} other photographs" in text and SHIPPED[1] in text
    assert found["real_photos_tuning"]["setting"] == " / ".join(SHIPPED)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_model_without_an_opinion_is_right_about_no_photograph(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_sets, "photos", lambda: PHOTOS)
    found = photographs.measure(Viewer(lambda i: "apple", value))  # type: ignore[arg-type]
    assert found["real_photos"]["model"] == found["real_photos"]["best_zero_training"] == 0.0
    assert set(found["real_photos_tuning"]["ways"].values()) == {0.0}
    assert {row["model"] for row in found["real_photos"]["rows"]} == {photographs.NONE}
