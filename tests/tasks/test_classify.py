"""Classification, answers and transitions are nearest neighbours in the shared space."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.calibrated import LOGISTIC, write_calibrated
from tests.streaming.scenes import BLUE, GREEN, RED, picture, scenes
from tests.streaming.scratch import Scratch
from tests.streaming.wrapped import Overflowing
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import BundleError, EngineError, InputError, VideoError
from vljepa_edge.model import Model, load
from vljepa_edge.tasks.classify import best_label, rank

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


# --- calibrated confidence ---


def logistic(cosine: float, slope: float = 4.0, offset: float = -1.0) -> float:
    return 1 / (1 + math.exp(-(slope * cosine + offset)))


@pytest.fixture(scope="module")
def sure(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The toy with a calibrator of each kind. "yes" is nearer than "no" from a difference of 0.5 on only."""
    presence = {"kind": "logistic", "slope": 6.0, "offset": -3.0}
    out = tmp_path_factory.mktemp("calibrated") / "toy"
    entry = {"caption": LOGISTIC, "answer": LOGISTIC, "label": LOGISTIC, "min_confidence": 0.6}
    return load(write_calibrated(toy, out, **entry, presence=presence), threads=1, precision="f32")


def test_a_label_has_a_probability_of_its_own(sure: Model, model: Model) -> None:
    scores = sure.classify(picture(RED), LABELS)
    assert [(item.label, item.score) for item in scores] == [
        (item.label, pytest.approx(item.score)) for item in model.classify(picture(RED), LABELS)
    ]
    seen = sure.embed_video(picture(RED))
    for item in scores:
        cosine = float(sure.embed_text([f"A photo of {item.label}."])[0] @ seen)
        assert item.probability == pytest.approx(logistic(cosine), abs=1e-5)
    alone = sure.classify(picture(RED), [scores[0].label])
    assert alone[0].score == 1.0 and alone[0].probability == pytest.approx(scores[0].probability)


def test_none_of_these_is_the_best_label_where_none_is_probable_enough(sure: Model, model: Model) -> None:
    scores = sure.classify(picture(RED), LABELS)
    top = max(item.probability for item in scores if item.probability is not None)
    assert best_label(scores, top) == scores[0]
    assert best_label(scores, math.nextafter(top, 1)) is None
    assert best_label(scores) == (scores[0] if top >= 0.5 else None)
    plain = model.classify(picture(RED), LABELS)
    assert best_label(plain, 1.0) == plain[0] and plain[0].probability is None
    for bad in ([], "dog", [1], None):
        with pytest.raises(InputError, match="scores must be"):
            best_label(bad)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="min_probability must be a number from 0 to 1, got 2"):
        best_label(scores, 2)


def test_an_answer_says_whether_it_is_sure(sure: Model, model: Model) -> None:
    image, question = picture(RED), "What is it?"
    seen = sure.embed_video(image, question)
    opened = sure.answer(image, question)
    assert opened.confidence == pytest.approx(logistic(opened.score), abs=1e-5)
    assert opened.sure == (opened.confidence >= 0.6)
    assert sure.answer(image, question, min_confidence=0.0).sure
    doubted = sure.answer(image, question, min_confidence=1.0)
    assert not doubted.sure and doubted.text == opened.text != ""
    chosen = sure.answer(image, question, ["a dog", "a cup"])
    cosines = dict(zip(["a dog", "a cup"], (sure.embed_text(["a dog", "a cup"]) @ seen).tolist(), strict=True))
    assert {item.label: item.probability for item in chosen.scores} == {
        name: pytest.approx(logistic(cosine), abs=1e-5) for name, cosine in cosines.items()
    }
    assert (chosen.confidence, chosen.text) == (chosen.scores[0].probability, chosen.scores[0].label)
    plain = model.answer(image, question)
    assert plain.confidence is None and plain.sure
    with pytest.raises(InputError, match="min_confidence needs a bundle"):
        model.answer(image, question, min_confidence=0.5)
    with pytest.raises(InputError, match="min_confidence must be a number from 0 to 1"):
        sure.answer(image, question, min_confidence=-1)


@pytest.mark.parametrize("names", [["yes", "no"], ["No.", "Yes."]])
def test_whether_something_is_there_is_answered_by_what_is_more_probable(sure: Model, names: list[str]) -> None:
    image, question = picture(GREEN), "Is there a ball?"
    yes, no = sure.embed_text(["yes", "no"]) @ sure.embed_video(image, question)
    if names[0] == "No.":
        no, yes = sure.embed_text(names) @ sure.embed_video(image, question)
    chance = logistic(float(yes) - float(no), 6.0, -3.0)
    found = sure.answer(image, question, names)
    said = found.text.strip(".").lower()
    assert said == ("yes" if chance >= 0.5 else "no")
    assert found.confidence == pytest.approx(max(chance, 1 - chance), abs=1e-5)
    assert sum(score.probability or 0 for score in found.scores) == pytest.approx(1)
    other = sure.answer(image, "Does the ball move?", names)  # no calibrator is of this question
    assert sum(score.probability or 0 for score in other.scores) != pytest.approx(1, abs=1e-3)
