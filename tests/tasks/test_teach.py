"""What is taught is known in clips that were never seen, and what a head says of itself is what a fair test finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import vljepa_edge
from tests.media import write_video
from tests.streaming.scenes import BLUE, GREEN, GREY, RED, picture
from vljepa_edge.errors import DataError, InputError, VideoWarning
from vljepa_edge.model import Model
from vljepa_edge.perception.features import encoder_digest
from vljepa_edge.tasks.clips import Clip, spread_out
from vljepa_edge.tasks.teach import MOST_WINDOWS, Lesson, teach

Image = NDArray[np.uint8]
ENDS = {"gets red": RED, "gets green": GREEN, "gets blue": BLUE}


def change(colour: tuple[int, int, int], seed: int, frames: int = 10) -> list[Image]:
    """A grey scene, darker or lighter, that turns to about a colour after two to five frames."""
    rng = np.random.default_rng(seed)
    begin = int(rng.integers(2, 6))
    grey, end = rng.integers(80, 170), np.array(colour) + rng.integers(-20, 21, 3)
    colours = [(grey,) * 3 if i < begin else tuple(end) for i in range(frames)]
    return [picture(each, 1000 * seed + i) for i, each in enumerate(colours)]  # type: ignore[arg-type]


def clips(seed: int, count: int = 6, *, nothing: bool = False) -> dict[str, list[list[Image]]]:
    found = {
        label: [change(colour, 100 * seed + 10 * place + i) for i in range(count)]
        for place, (label, colour) in enumerate(ENDS.items())
    }
    if nothing:
        found["nothing"] = [[picture(GREY, 7 * seed + i)] * 10 for i in range(count)]
    return found


@pytest.fixture(scope="module")
def lesson(model: Model) -> Lesson:
    return teach(model, clips(0, nothing=True))


def told(model: Model, head: vljepa_edge.Head, clip: list[Image]) -> tuple[str, float]:
    chances = head.probabilities(model.features(clip, full=True)[1]).mean(0)
    return head.labels[int(chances.argmax())], float(chances[: len(head.events)].max())


def test_events_are_known_in_clips_that_were_never_seen(model: Model, lesson: Lesson) -> None:
    head = lesson.head
    unseen = [(label, clip) for label, given in clips(1, 8, nothing=True).items() for clip in given]
    assert np.mean([told(model, head, clip)[0] == label for label, clip in unseen]) >= 0.95
    assert max(told(model, head, clip)[1] for label, clip in unseen if label == "nothing") < head.threshold
    assert head.labels == (*ENDS, "nothing") and head.events == tuple(ENDS)
    assert head.clips == (6, 6, 6, 6) and head.model == "toy 0" and head.encoder == encoder_digest(model.manifest)
    assert not lesson.skipped and lesson.apart
    again = model.teach(clips(0, nothing=True))
    np.testing.assert_array_equal(again.weights, head.weights)  # nothing is drawn that is not seeded


def test_what_it_says_of_itself_is_what_scikit_learn_finds(model: Model) -> None:
    """With labels that are wrong in part, so that the accuracy is neither 0 nor 1; the oracle shares no code."""
    given = clips(2, 8)
    for label, other in zip(ENDS, [*list(ENDS)[1:], next(iter(ENDS))], strict=True):
        given[label][:3] = [change(ENDS[other], 900 + i) for i in range(3)]
    lesson = teach(model, given)
    rows = [model.features(clip, full=True)[1].astype(np.float64) for group in given.values() for clip in group]
    labels = np.repeat(np.arange(3), 8)
    pipeline = make_pipeline(StandardScaler(), Ridge(30.0))
    hits = []
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(24)
        order = order[np.argsort(labels[order], kind="stable")]
        for fold in range(5):
            out = set(order[fold::5].tolist())
            train = [i for i in range(24) if i not in out]
            data = np.concatenate([rows[i] for i in train])
            aims = np.eye(3)[np.repeat(labels[train], [len(rows[i]) for i in train])]
            fitted = clone(pipeline).fit(data, aims)
            hits += [fitted.predict(rows[i]).mean(0).argmax() == labels[i] for i in sorted(out)]
    head = lesson.head
    assert 0.3 < np.mean(hits) < 0.8
    assert head.accuracy == pytest.approx(np.mean(hits), abs=0.12)
    assert head.spread > 0
    np.testing.assert_allclose(lesson.confusion.sum(1), [8, 8, 8])
    np.testing.assert_allclose(head.recall, np.diagonal(lesson.confusion) / 8)
    assert head.accuracy == pytest.approx(np.trace(lesson.confusion) / 24, abs=0.02)


def test_clips_of_one_video_are_left_out_together(model: Model) -> None:
    """Each video has a colour of its own and a label by chance: told apart by the video only, so not in new ones."""
    rng = np.random.default_rng(0)
    given: dict[str, list[Clip]] = {"a": [], "b": []}
    for number in range(12):
        colour = rng.integers(20, 235, 3)
        video = [(picture(tuple(colour), 50 * number + i), i / 4) for i in range(32)]
        given["ab"[number % 2]] += [Clip(video, start, start + 2) for start in (0, 2, 4, 6)]
    apart = teach(model, given)
    assert apart.apart and apart.head.accuracy < 0.75
    mixed = {label: [list(clip.source)[:8] for clip in group] for label, group in given.items()}  # type: ignore
    assert teach(model, mixed).head.accuracy > 0.85  # copies, whose videos nobody knows to be one


def test_where_a_label_has_one_video_clips_are_left_out_one_by_one(model: Model) -> None:
    red, blue = ([(picture(colour, i), i / 4) for i in range(32)] for colour in (RED, BLUE))
    lesson = teach(model, {"red": [Clip(red, 0, 2), Clip(red, 4)], "blue": [Clip(blue, end=3), Clip(blue, 4, 9)]})
    assert not lesson.apart and lesson.head.accuracy == 1


def test_a_clip_with_the_wrong_label_is_pointed_at(model: Model) -> None:
    given = clips(3)
    given["gets red"][2] = change(BLUE, 77)
    doubts = teach(model, given).doubts
    assert (doubts[0].clip, doubts[0].label, doubts[0].looks_like) == (
        "clip 3 of 'gets red'", "gets red", "gets blue"
    )  # fmt: skip
    assert doubts[0].margin > 0 and list(doubts) == sorted(doubts, key=lambda doubt: -doubt.margin)


def test_without_a_background_most_windows_of_strangers_stay_below_the_threshold(model: Model) -> None:
    head = teach(model, clips(4)).head
    still = [picture(GREY, i) for i in range(10)]
    chances = head.probabilities(model.features(still, full=True)[1])
    assert head.threshold > 0.5 and chances.max() < head.threshold
    known = [head.probabilities(model.features(clip, full=True)[1])[-1] for clip in clips(5)["gets blue"]]
    assert np.mean([row[2] >= head.threshold for row in known]) >= 0.5


def test_probabilities_are_calibrated(model: Model) -> None:
    """Of windows that get about the probability p, about the share p shows the event, in clips that were not taught."""
    blur = {label: [change(tuple(int(c) for c in 0.12 * np.array(colour) + 110), 10 * i + place)
                    for i in range(12)] for place, (label, colour) in enumerate(ENDS.items())}  # fmt: skip
    taught = {label: group[:6] for label, group in blur.items()}
    head = model.teach(taught)
    chances, hits = [], []
    for place, group in enumerate(blur.values()):
        for clip in group[6:]:
            rows = head.probabilities(model.features(clip, full=True)[1])
            chances += list(rows.ravel())
            hits += [k == place for _ in rows for k in range(3)]
    chance, hit = np.array(chances), np.array(hits)
    bins = np.minimum((chance * 5).astype(int), 4)
    error = sum(abs(chance[bins == b].mean() - hit[bins == b].mean()) * (bins == b).mean() for b in set(bins))
    assert error < 0.12


def test_a_stretch_of_a_source_is_what_its_frames_are_and_a_source_is_read_once(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.mp4"
    write_video(path, 60)
    frames = [(image.copy(), time) for image, time in model.open(path)]
    spans = [(0.0, 1.0), (0.5, 2.0), (1.5, None), (None, None), (1.0, 1.9)]
    opened = []
    whole = model.open

    def counted(source: Any, **options: Any) -> Any:
        if isinstance(source, Path):
            opened.append(source)
        return whole(source, **options)

    monkeypatch.setattr(model, "open", counted)
    from vljepa_edge.tasks.clips import as_examples, read_rows

    _, examples = as_examples({"a": [Clip(path, *span) for span in spans]})
    found = dict(read_rows(model, examples, None))
    assert len(opened) == 2  # once for the whole, once for all stretches
    for number, (start, end) in enumerate(spans):
        inside = [(i, t) for i, t in frames if (start is None or t >= start) and (end is None or t < end)]
        np.testing.assert_allclose(found[number], model.features(inside, hop=1, full=True)[1], atol=1e-6)


def test_short_and_long_clips_are_taught_together(model: Model) -> None:
    given: dict[str, list[Any]] = {
        "red": [picture(RED), [picture(RED, i) for i in range(3)], [picture(RED, i) for i in range(80)]],
        "blue": [picture(BLUE), [picture(BLUE, i) for i in range(3)], [picture(BLUE, i) for i in range(80)]],
    }
    assert model.teach(given).accuracy == 1


def test_only_windows_that_differ_are_kept() -> None:
    rows = np.arange(100, dtype=np.float32)[:, None]
    assert spread_out(rows, 5).ravel().tolist() == [0, 25, 50, 74, 99]
    assert spread_out(rows, 1).ravel().tolist() == [50]
    assert len(spread_out(rows[:7], MOST_WINDOWS)) == 7


def test_clips_that_can_not_be_read_are_left_out_up_to_a_tenth(model: Model, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    given: dict[str, list[Any]] = dict(clips(6, 10))
    given["gets red"].append(tmp_path / "broken.mp4")
    given["gets blue"].append(Clip([(picture(RED), 0.0)], 5, 6))
    with pytest.warns(VideoWarning) as said:
        lesson = teach(model, given)
    assert lesson.head.clips == (10, 10, 10) and len(said) == 2
    (broken, why), (empty, _) = lesson.skipped
    assert broken == str(tmp_path / "broken.mp4") and "not a video" in why
    assert empty == "clip 11 of 'gets blue' [5 - 6 s]"
    given["gets green"] += [tmp_path / "none.mp4", tmp_path / "neither.mp4", tmp_path / "nor.mp4"]
    with pytest.warns(VideoWarning), pytest.raises(DataError, match=r"5 of 35 clips can't be read .* more than"):
        teach(model, given)


def once() -> Iterator[Image]:
    yield picture(RED)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "clips must be a mapping"),
        ([picture(RED)], "clips must be a mapping"),
        ({"a": [picture(RED)] * 2}, "labels must be 2 to 1000, got 1"),
        ({1: [], "b": []}, "each of the labels must be a text"),
        ({"a": "clip.mp4", "b": []}, "not one text"),
        ({"a": picture(RED), "b": []}, "not one array"),
        ({"a": None, "b": []}, "must be a list of sources"),
        ({"a": [picture(RED)], "b": [picture(BLUE)] * 2}, "each label needs 2 clips .* 'a' has 1"),
        ({"nothing": [picture(RED)] * 2, "background": [picture(BLUE)] * 2}, "one of the labels at least"),
    ],
)
def test_what_can_not_be_taught_is_refused(model: Model, given: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        model.teach(given)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ((2, 1), "end must be after start, 2 s, got 1 s"),
        ((1, 1), "end must be after start"),
        (("0", None), "start must be a number of seconds, or None"),
        ((None, float("nan")), "end must be a number of seconds, or None"),
        ((True, None), "start must be a number"),
    ],
)
def test_stretches_that_make_no_sense_are_refused(times: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Clip("clip.mp4", *times)
