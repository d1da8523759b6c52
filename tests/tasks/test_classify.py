"""Classification, answers and transitions are nearest neighbours in the shared space."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.streaming.scenes import BLUE, GREEN, RED, picture, scenes
from tests.streaming.scratch import Scratch
from tests.streaming.wrapped import Overflowing
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import BundleError, EngineError, InputError, VideoError
from vljepa_edge.model import Model, load
from vljepa_edge.tasks.classify import rank

LABELS = ["a red car", "dog", "ball", "Übergang", "left"]


def softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in values)
    return [math.exp(value) / total for value in values]


def test_scores_are_the_softmax_of_cosines_with_the_prompted_labels(model: Model) -> None:
    image, scratch = picture(RED), Scratch(model.bundle)
    seen = scratch.embed_window([image] * 8, model.manifest.text.default_query).astype(np.float64)
    cosines = [float(scratch.embed_text(f"A photo of {label}.") @ seen) for label in LABELS]
    expected = dict(zip(LABELS, softmax([20 * cosine for cosine in cosines]), strict=True))
    found = model.classify(image, LABELS)
    assert {item.label: item.score for item in found} == pytest.approx(expected, abs=1e-4)
    assert [item.score for item in found] == sorted((item.score for item in found), reverse=True)
    assert sum(item.score for item in found) == pytest.approx(1)


def test_the_order_of_labels_does_not_matter(model: Model) -> None:
    one, two = model.classify(picture(RED), LABELS), model.classify(picture(RED), LABELS[::-1])
    assert [item.label for item in one] == [item.label for item in two]


@pytest.mark.parametrize(
    "labels",
    [
        [],
        [""],
        ["cat", " "],
        ["cat", "cat"],
        ["cat", " cat "],
        "cat",
        [None],
        ["x" * 1001],
        [str(number) for number in range(10_001)],
    ],
    ids=lambda labels: repr(labels)[:20],
)
def test_label_lists_that_make_no_sense_are_refused(model: Model, labels: object) -> None:
    with pytest.raises(InputError):
        model.classify(picture(RED), labels)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        model.answer(picture(RED), "What?", labels)  # type: ignore[arg-type]


def test_extreme_cosines_stay_finite() -> None:
    scores = rank(["a", "b", "c"], np.array([1, -1, 1], np.float32), 1e6)
    assert [item.label for item in scores] == ["a", "c", "b"]
    assert [item.score for item in scores] == [0.5, 0.5, 0.0]


@pytest.mark.parametrize(
    ("output", "graph"), [("motion", "predictor"), ("query_tokens", "query"), ("embedding", "predictor")]
)
def test_numbers_that_overflow_give_no_answer(toy: Path, output: str, graph: str) -> None:
    model = Model(Bundle.open(toy), Overflowing(output))
    for ask in (
        lambda: model.classify(picture(RED), ["cat", "dog"]),
        lambda: model.answer(picture(RED), "Which?", ["cat", "dog"]),
    ):
        with pytest.raises(EngineError, match=rf"{graph}: .*not finite.*precision='f32'"):
            ask()
    if output == "embedding":
        with pytest.raises(EngineError, match=r"y_encoder: .*not finite"):
            model.embed_text(["cat"])


def with_scale(toy: Path, folder: Path, scale: object) -> Path:
    """A copy of the toy bundle whose manifest has this scale."""
    copy = Path(shutil.copytree(toy, folder / "bundle"))
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["prompts"]["scale"] = scale
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return copy


@pytest.mark.parametrize("scale", [33.5, 1, "33.5", "1e1"])  # as text in bundles made before 0.9
def test_the_scale_comes_from_the_manifest(model: Model, toy: Path, tmp_path: Path, scale: str | float) -> None:
    image = picture(RED)
    other = load(with_scale(toy, tmp_path, scale), threads=1, precision="f32")
    cosines = model.embed_text(["A photo of cat.", "A photo of dog."]) @ model.embed_video(image)
    expected = dict(zip(["cat", "dog"], softmax([float(scale) * float(cosine) for cosine in cosines]), strict=True))
    assert {s.label: s.score for s in other.classify(image, ["cat", "dog"])} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("scale", [0, -1, "x", "nan", "inf", "-inf", "", None, True, [1]])
def test_a_scale_that_is_no_number_above_0_is_refused(toy: Path, tmp_path: Path, scale: object) -> None:
    with pytest.raises(BundleError, match=r"manifest.json: prompts\.scale"):
        Bundle.open(with_scale(toy, tmp_path, scale))


def test_an_answer_out_of_candidates_is_the_nearest(model: Model) -> None:
    video = list(scenes(RED, GREEN, seconds=1))
    scratch = Scratch(model.bundle)
    seen = scratch.embed_window([image for image, _ in video], "Which way?")
    candidates = ["left", "right", "up"]
    best = max(candidates, key=lambda text: float(scratch.embed_text(text) @ seen))
    found = model.answer(iter(video), "Which way?", candidates)
    assert found.text == best == found.scores[0].label
    assert found.score == found.scores[0].score
    assert len(found.scores) == 3


def test_an_open_answer_is_decoded_and_says_how_well_it_fits(model: Model) -> None:
    image, scratch = picture(BLUE), Scratch(model.bundle)
    seen = scratch.embed_window([image] * 8, "What?")
    found = model.answer(image, "What?")
    assert found.text == scratch.decode(seen)
    assert found.score == pytest.approx(float(scratch.embed_text(found.text) @ seen), abs=1e-4)
    assert found.scores == ()


def test_an_empty_question_asks_nothing_here_as_everywhere(model: Model) -> None:
    image, scratch = picture(RED), Scratch(model.bundle)
    seen = scratch.embed_window([image] * 8, "")
    np.testing.assert_allclose(model.embed_video(image, ""), seen, atol=1e-5)
    assert model.answer(image, "").text == scratch.decode(seen)
    with model.open_stream(query="") as stream:
        (event,) = stream.push(image, 0.0)
        np.testing.assert_allclose(event.embedding, seen, atol=1e-5)
        assert stream.set_query("") and stream.queries == ("",)
    prompted = model.answer(image, "", [f"A photo of {label}." for label in LABELS])
    assert model.classify(image, LABELS, "")[0].score == prompted.score


def test_the_transition_is_the_clip_nearest_to_both_images_in_one_window(model: Model) -> None:
    before, after = picture(RED), picture(GREEN)
    clips = [
        [picture(RED)] * 4 + [picture(GREEN)] * 4,
        [picture(GREEN)] * 4 + [picture(RED)] * 4,
        [picture(BLUE)] * 8,
    ]
    scratch = Scratch(model.bundle)
    query = model.manifest.text.default_query
    state = scratch.embed_window([before] * 4 + [after] * 4, query)
    cosines = np.array([scratch.embed_window(clip, query) @ state for clip in clips])
    found = model.transition(before, after, clips)
    assert [item.label for item in found] == [f"candidate {i}" for i in np.argsort(-cosines)]
    assert found[0].label == "candidate 0"


def test_a_transition_needs_candidates_and_images(model: Model) -> None:
    with pytest.raises(InputError, match="candidate"):
        model.transition(picture(RED), picture(RED), [])
    with pytest.raises(VideoError):
        model.transition("nowhere.png", picture(RED), [picture(RED)])
