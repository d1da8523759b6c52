"""Streams: what they are like, that a seed makes the same one again, and annotations in both layouts."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vljepa_edge.errors import DataError, InputError
from vljepa_edge.evaluation.selective.annotations import Annotation, read_atomic, read_table
from vljepa_edge.evaluation.selective.camera import LEVELS, MARGIN, SIDE, SIZE, Camera, Noise
from vljepa_edge.evaluation.selective.items import Item, everyday, is_for_tuning
from vljepa_edge.evaluation.selective.streams import Stream, _play, has_annotations, recorded, strung
from vljepa_edge.evaluation.selective.timeline import DURATION, EVENTS, STILL, Event, script

CAPTIONS = [(f"thing {k}", f"it is thing {k}") for k in range(300)]


@dataclass(frozen=True)
class Plain:
    """Something of one grey that says which."""

    number: int

    @property
    def captions(self) -> Sequence[str]:
        return CAPTIONS[self.number]

    def frames(self, fps: float) -> NDArray[np.uint8]:
        return np.full((2, SIDE, SIDE, 3), 40 + self.number % 160, np.uint8)


def plain_items(rng: random.Random, tuning: bool) -> tuple[list[Item], str]:
    found: list[Item] = [Plain(k) for k in range(150 * tuning, 150 + 150 * tuning)]
    rng.shuffle(found)
    return found, "plain"


def stream(seed: int = 1, noise: str = "middle", *, tuning: bool = False, duration: float = 20.0) -> Stream:
    return strung("plain", plain_items, seed, noise, 4.0, tuning=tuning, duration=duration, count=8)


@pytest.fixture(scope="module")
def scripts() -> list[list[Event]]:
    return [script(random.Random(seed), CAPTIONS) for seed in range(20)]


def test_a_stream_has_about_the_length_and_annotations_of_egoexo4d(scripts: list[list[Event]]) -> None:
    assert all(events[0].start == 0 and events[-1].end == DURATION for events in scripts)
    assert all(one.end == other.start for events in scripts for one, other in pairwise(events))
    assert np.mean([len(events) for events in scripts]) == pytest.approx(EVENTS, rel=0.06)
    assert all(event.start <= event.at <= event.end for events in scripts for event in events)


def test_durations_are_heavy_tailed(scripts: list[list[Event]]) -> None:
    lengths = np.array([event.end - event.start for events in scripts for event in events])
    assert np.median(lengths) < 0.75 * lengths.mean()
    assert np.quantile(lengths, 0.98) > 3.5 * lengths.mean()


def test_events_come_again_and_some_fade_and_some_stand_still(scripts: list[list[Event]]) -> None:
    for events in scripts:
        again = [event.item in {old.item for old in events[:k]} for k, event in enumerate(events)]
        assert 0.12 < np.mean(again) < 0.4
        assert all(one.item != other.item for one, other in pairwise(events))
        assert {caption for event in events for caption in CAPTIONS[event.item]} >= {event.text for event in events}
    every = [event for events in scripts for event in events]
    assert np.mean([event.still for event in every]) == pytest.approx(STILL, abs=0.03)
    assert 0.1 < np.mean([event.fade > 0 for event in every]) < 0.2
    assert all(event.pan == (0, 0) for event in every if event.still)


def frames_of(found: Stream) -> NDArray[np.uint8]:
    return np.stack([frame for frame, _ in found.frames(lambda path: pytest.fail("no file is opened"))])


def test_a_seed_makes_the_same_stream_again_and_another_one_another() -> None:
    first = frames_of(stream())
    assert first.shape == (80, SIZE, SIZE, 3)
    assert np.array_equal(first, frames_of(stream())) and stream().digest == stream().digest
    assert not np.array_equal(first, frames_of(stream(2)))
    others = [stream(2), stream(noise="low"), stream(tuning=True), stream(duration=21.0)]
    assert len({one.digest for one in (stream(), *others)}) == 5


def test_levels_of_noise_show_the_same_events_and_tuning_shows_other_things() -> None:
    assert stream(noise="low").annotations == stream(noise="high").annotations
    tuned, reported = ({said.text.split()[-1] for said in stream(tuning=part).annotations} for part in (True, False))
    assert not tuned & reported
    with pytest.raises(InputError, match="noise must be one of low, middle, high, got 'loud'"):
        stream(noise="loud")


def test_more_noise_is_more_of_everything() -> None:
    picture = np.random.default_rng(0).uniform(60, 180, (SIDE, SIDE, 3)).astype(np.float32)
    picture = np.repeat(np.repeat(picture[::16, ::16], 16, 0), 16, 1)[:SIDE, :SIDE]
    moved = []
    for noise in LEVELS.values():
        camera = Camera(noise, 3, 60, 4.0)
        seen = np.stack([camera.look(k, picture, (0, 0), False) for k in range(60)]).astype(float)
        moved.append(np.abs(np.diff(seen, axis=0)).mean())
    assert moved[0] < moved[1] / 1.5 < moved[2] / 2


NONE = Noise(shake=0, drift=0, flicker=0, jumps=0, grain=0)


def looks(noise: Noise, grey: float, seed: int, fps: float, numbers: Sequence[int]) -> NDArray[np.float64]:
    """Frames of an even grey as a camera that stands sees them, (n, SIZE, SIZE, 3)."""
    camera = Camera(noise, seed, max(numbers) + 1, fps)
    picture = np.full((SIDE, SIDE, 3), grey, np.float32)
    return np.stack([camera.look(number, picture, (0, 0), True) for number in numbers]).astype(float)


def test_a_camera_without_noise_sees_what_is_there() -> None:
    assert (looks(NONE, 100, 1, 4.0, range(8)) == 100).all()


@pytest.mark.parametrize(("fps", "hertz"), [(30.0, 10.0), (24.0, 4.0), (4.0, 0.0)])  # 100 Hz less whole frames
def test_flicker_is_that_of_the_mains_as_frames_sample_it(fps: float, hertz: float) -> None:
    seen = looks(replace(NONE, flicker=0.15), 100, 3, fps, range(160))
    assert np.ptp(seen, (2, 3)).max() == 0  # a row is exposed at once, in all colours
    rows = seen[:, :, 0, 0]
    found = np.fft.rfftfreq(len(rows), 1 / fps)[np.abs(np.fft.rfft(rows[:, 0] - 100)).argmax()]
    assert found == pytest.approx(hertz, abs=0.25)  # mains are within 0.2 Hz of what they should be
    phases = 2 * np.pi * 1.6 * np.arange(SIZE) / (SIZE - 1)  # 1.6 periods from top to bottom
    waves = np.stack([np.ones(SIZE), np.sin(phases), np.cos(phases)], 1)
    levels, residues, *_ = np.linalg.lstsq(waves, rows.T, rcond=None)
    assert levels[0] == pytest.approx(100, abs=0.5) and np.hypot(*levels[1:]) == pytest.approx(15, abs=0.5)
    assert (residues / SIZE < 0.5).all()


def test_light_drifts_by_its_share_and_forgets_within_20_seconds() -> None:
    both = np.stack([looks(replace(NONE, drift=0.2), 100, seed, 4.0, (0, 1, 80))[:, 0, 0] for seed in range(150)])
    assert np.ptp(looks(replace(NONE, drift=0.2), 100, 1, 4.0, (0, 9)), (1, 2)).max() == 0  # the same everywhere
    logs = np.log(both / 100)  # [seed, frame, colour]
    assert logs[:, 0].mean(1).std() == pytest.approx(0.2, rel=0.15)
    assert (logs[:, 0, 0] - logs[:, 0, 1]).std() == pytest.approx(0.4 * 0.2 * np.sqrt(2), rel=0.15)
    after = [np.corrcoef(logs[:, 0].mean(1), logs[:, k].mean(1))[0, 1] for k in (1, 2)]
    assert after[0] > 0.97 and after[1] == pytest.approx(np.exp(-1), abs=0.15)


def test_exposure_jumps_so_often_and_settles_again() -> None:
    heights = []
    for seed in range(3):
        seen = np.log(looks(replace(NONE, jumps=15), 60, seed, 2.0, range(120))[:, 0, 0, 0] / 60)
        left = np.concatenate([[0], seen[:-1]]) * np.exp(-0.5 / 1.5)  # of earlier jumps, 1.5 s to settle
        heights += np.abs(seen - left).tolist()
    jumps = [height for height in heights if height > 0.06]
    assert 25 < len(jumps) < 70  # 15 a minute in 3 minutes
    assert 0.25 < min(jumps) < 0.4 and 0.7 < max(jumps) < 0.85
    assert np.ptp(looks(replace(NONE, jumps=15), 60, 1, 4.0, range(20)), (1, 2, 3)).max() == 0


def test_grain_is_as_large_as_said_and_new_in_each_frame() -> None:
    one, other = looks(replace(NONE, grain=10), 128, 1, 4.0, (0, 1)) - 128
    assert one.std() == pytest.approx(10, rel=0.02) and abs(one.mean()) < 0.2
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.02


@dataclass(frozen=True)
class Painted:
    """Something with a picture of its own."""

    seed: int
    captions = ("a picture",)

    def frames(self, fps: float) -> NDArray[np.uint8]:
        return np.random.default_rng(self.seed).integers(0, 255, (1, SIDE, SIDE, 3), np.uint8)


@pytest.mark.parametrize(("fade", "shares"), [(1.0, [0, 0, 0.25, 0.5, 0.75, 1]), (0.0, [0, 1, 1, 1, 1, 1])])
def test_a_fade_goes_from_one_picture_to_the_next_and_a_cut_leaps(fade: float, shares: list[float]) -> None:
    events = [Event(2.0 * k, 2.0 * k + 2, k, 0, "", fade if k else 0.0, True, (0, 0)) for k in range(2)]
    seen = [frame.astype(float) for frame, _ in _play(events, [Painted(1), Painted(2)], Camera(NONE, 1, 16, 4.0), 4.0)]
    assert len(seen) == 16
    before, after = (
        item.frames(4.0)[0, MARGIN : MARGIN + SIZE, MARGIN : MARGIN + SIZE].astype(float)
        for item in (Painted(1), Painted(2))
    )
    for frame, share in zip(seen[7:13], shares, strict=True):
        assert np.abs(frame - (1 - share) * before - share * after).max() <= 0.51


def test_the_camera_of_a_stream_for_tuning_is_another() -> None:
    black = np.zeros((SIDE, SIDE, 3), np.float32)
    seen = [Camera(LEVELS["high"], 1, 4, 4.0, tuning=part).look(0, black, (0, 0), True) for part in (False, True)]
    assert not np.array_equal(*seen)


def test_a_camera_that_stands_sees_grain_and_light_but_no_motion() -> None:
    picture = np.zeros((SIDE, SIDE, 3), np.float32)
    picture[:, MARGIN + SIZE // 2 :] = 100
    camera = Camera(LEVELS["middle"], 1, 40, 4.0)
    standing = [camera.look(k, picture, (0, 0), True).astype(float).mean((0, 2)) for k in range(20)]
    assert {int(np.abs(np.diff(columns)).argmax()) for columns in standing} == {SIZE // 2 - 1}
    held = [camera.look(k, picture, (0, 0), False).astype(float).mean((0, 2)) for k in range(20, 40)]
    assert len({int(np.abs(np.diff(columns)).argmax()) for columns in held}) > 1


def test_everyday_items_are_photographs_and_clips_of_one_part(tmp_path: Path) -> None:
    for name in ("coco-val", "flickr8k-test", "robot-test"):
        rows = [{"path": f"{name}/{k}.webp", "caption": f"{name} {k}"} for k in range(60)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    parts = [everyday(tmp_path, random.Random(0), tuning)[0] for tuning in (True, False)]
    texts = [{caption for item in part for caption in item.captions} for part in parts]
    assert not texts[0] & texts[1]
    kept = {f"{name} {k}" for k in range(60) if is_for_tuning(f"{k}.webp") for name in ("coco-val", "flickr8k-test")}
    assert kept <= texts[0] and 0.15 < len(kept) / 120 < 0.45
    (tmp_path / "robot-test.jsonl").unlink()
    with pytest.raises(DataError, match=r"run `vljepa data fetch everyday`"):
        everyday(tmp_path, random.Random(0), True)


ATOMIC = {
    "take": [
        {"rejected": False, "descriptions": [
            {"text": "C moves.", "timestamp": 2.5, "unsure": "0", "ego_visible": "1", "narration_subject": "C"},
            {"text": "C may move.", "timestamp": 1.0, "unsure": "1"},
            {"text": "C stands.", "timestamp": 0.5, "unsure": False, "subject": "C"}]},
        {"rejected": True, "descriptions": [{"text": "No.", "timestamp": 1.0, "unsure": False}]},
    ]
}  # fmt: skip


def test_egoexo4d_s_flags_are_booleans_or_texts(tmp_path: Path) -> None:
    file = tmp_path / "atomic_descriptions_val.json"
    file.write_text(json.dumps({"annotations": ATOMIC}))
    assert read_atomic(file) == {"take": [Annotation(0.5, "C stands."), Annotation(2.5, "C moves.")]}
    file.write_text(json.dumps({"annotations": {"take": [{"rejected": "no", "descriptions": []}]}}))
    with pytest.raises(DataError, match=r"take take.*rejected must be true, false.*got 'no'"):
        read_atomic(file)


def test_a_folder_s_table_names_its_videos(tmp_path: Path) -> None:
    assert not has_annotations(tmp_path)
    (tmp_path / "annotations.csv").write_text("path,time,text\na.mp4,3,later\na.mp4,1.5,first\nb.mp4,0,other\n")
    assert has_annotations(tmp_path)
    assert read_table(tmp_path / "annotations.csv")[tmp_path / "a.mp4"] == [
        Annotation(1.5, "first"), Annotation(3.0, "later"),
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"a\.mp4.*is not there"):
        recorded(tmp_path, print)
    (tmp_path / "annotations.csv").write_text("path,time,text\na.mp4,3,later\n./a.mp4,1.5,first\n")
    found = read_table(tmp_path / "annotations.csv")
    assert [given.text for given in found[tmp_path / "a.mp4"]] == ["first", "later"]
    wrong = {"path,time\n": "columns path, time, text", "path,time,text\na.mp4,x,y\n": "row 1: time must",
             "path,time,text\na.mp4,1,hello, world\n": "row 1: must have 3 cells.*must stand in quotes"}  # fmt: skip
    for text, message in wrong.items():
        (tmp_path / "annotations.csv").write_text(text)
        with pytest.raises(DataError, match=message):
            read_table(tmp_path / "annotations.csv")


def test_a_text_with_a_comma_that_stands_in_no_quotes_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "annotations.csv"
    table.write_text('path,time,text\na.mp4,1,"hello, big world"\n')
    assert read_table(table) == {tmp_path / "a.mp4": [Annotation(1.0, "hello, big world")]}
    table.write_text("path,time,text\na.mp4,0,fine\na.mp4,1,hello, big world\n")
    with pytest.raises(DataError, match="row 2: must have 3 cells; a text with a comma must stand in quotes"):
        read_table(table)


def test_one_video_under_two_paths_has_the_annotations_of_both(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "annotations.csv").write_text("path,time,text\n./a.mp4,2,later\na.mp4,1,first\n")
    (found,) = recorded(tmp_path, print)
    assert found.annotations == (Annotation(1.0, "first"), Annotation(2.0, "later"))


def test_takes_of_egoexo4d_are_found_by_their_name(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    both = {"val": ATOMIC | {"gone": ATOMIC["take"]}, "train": {"other": ATOMIC["take"]}}
    for part, own in both.items():
        (tmp_path / f"annotations/atomic_descriptions_{part}.json").write_text(json.dumps({"annotations": own}))
    with pytest.raises(DataError, match=r"must hold videos of takes, e\.g\. take: take\.mp4"):
        recorded(tmp_path, print)
    video = tmp_path / "takes/bike_1/frame_aligned_videos/aria01_214-1.mp4"
    video.parent.mkdir(parents=True)
    video.write_bytes(b"")
    (tmp_path / "takes.json").write_text(json.dumps([{"take_uid": "take", "take_name": "bike_1"}]))
    said: list[str] = []
    (found,) = recorded(tmp_path, said.append)
    assert said == ["1 of 2 takes are left out: their videos are not there"]
    assert found.recipe["file"] == str(video.resolve()) and len(found.annotations) == 2 and not found.starts


DEEP = "[" * 200_000
TAKE = {"descriptions": [{"text": "C moves.", "timestamp": 1}]}


@pytest.mark.parametrize("text", [
    DEEP, "[]", "null", json.dumps({"annotations": {"/abs": [TAKE]}}), json.dumps({"annotations": {"": [TAKE]}}),
    json.dumps({"annotations": {"../up": [TAKE]}}), json.dumps({"annotations": {"nul\0": [TAKE]}}),
    json.dumps({"annotations": {"take": [{"descriptions": [{"text": "C moves.", "timestamp": 10**400}]}]}}),
])  # fmt: skip
def test_descriptions_that_are_none_are_said_to_be(tmp_path: Path, text: str) -> None:
    (tmp_path / "atomic_descriptions_val.json").write_text(text)
    with pytest.raises(DataError, match=r"atomic_descriptions_val\.json.*must"):
        recorded(tmp_path, print)


@pytest.mark.parametrize("text", [
    DEEP, "{}", "[5]", *(json.dumps([{"take_uid": "take", "take_name": name}]) for name in (5, "", "../..", "a\0")),
    json.dumps([{"take_uid": [], "take_name": "bike_1"}]),
])  # fmt: skip
def test_takes_that_are_none_are_said_to_be(tmp_path: Path, text: str) -> None:
    (tmp_path / "atomic_descriptions_val.json").write_text(json.dumps({"annotations": ATOMIC}))
    (tmp_path / "takes.json").write_text(text)
    with pytest.raises(DataError, match=r"takes\.json.*must"):
        recorded(tmp_path, print)


def test_the_name_of_a_take_is_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "atomic_descriptions_val.json").write_text(json.dumps({"annotations": {"*": [TAKE]}}))
    (tmp_path / "other.mp4").touch()
    with pytest.raises(DataError, match="must hold videos of takes"):
        recorded(tmp_path, print)
