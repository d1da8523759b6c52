"""Drawn clips as a source: the same clip for a number, whoever asks; and sources that a run's file names as classes."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.training.tiny.fakes import CLASSES, NAMES, NOUNS, cutout, fake_concepts, fake_features, grey_background
from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.training.data.sample import Sample, Varied
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.data.sources.asked import Unasked
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny import drawn
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.drawn import DrawnClips
from vljepa_edge.video.stretch import FramePlan

KIND = "vljepa_edge.training.tiny.drawn:DrawnClips"
PLAN = FramePlan(4, 48, 32)


@pytest.fixture(autouse=True)
def plain_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        drawn, "load_cutouts", lambda folder: {name: [cutout((40 * i, 90, 200))] for i, name in enumerate(NAMES)}
    )
    monkeypatch.setattr(drawn, "load_backgrounds", lambda folders, test: grey_background())
    monkeypatch.setattr(drawn, "held_out", lambda names: frozenset(sorted(names)[:2]))
    monkeypatch.setattr(drawn.assets, "stamps_dir", lambda: None)
    monkeypatch.setattr(drawn.assets, "background_dirs", list)


def test_a_clip_is_the_same_whoever_asks() -> None:
    source = open_source({"kind": KIND, "count": 12, "seed": 3})
    other = pickle.loads(pickle.dumps(source))
    assert len(source) == 12 and source[5] == other[5]
    first, again = source.frames(source[5], PLAN), other.frames(source[5], PLAN)
    assert first.shape == (4, 32, 48, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, source.frames(source[6], PLAN))
    assert open_source({"kind": KIND, "count": 12, "seed": 4})[5] != source[5]


def test_captions_have_wrong_ones_and_none_is_right() -> None:
    source = DrawnClips(60)
    samples = [source[i] for i in range(60)]
    assert {sample.query for sample in samples} == {"", *CAPTION_QUERIES}
    assert {Unasked(source)[i].query for i in range(60)} == {""}
    assert all(sample.target not in sample.negatives for sample in samples)
    assert sum(bool(sample.negatives) for sample in samples) > 20
    for one in samples:
        for two in samples:
            assert one.target != two.target or one.text_key == two.text_key


def test_questions_have_their_answers() -> None:
    source = DrawnClips(60, questions=True)
    asked = {source[i].query for i in range(60)}
    assert "" not in asked and len(asked) > 10 and not asked & set(CAPTION_QUERIES)


def test_held_out_objects_are_never_named_by_the_others() -> None:
    seen, held = DrawnClips(40), DrawnClips(40, held=True)
    assert not set(seen._names) & set(held._names)
    assert seen[0].media != held[0].media


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": KIND, "count": 0}, "count must be an integer of at least 1, got 0"),
        ({"kind": KIND}, "missing a required argument: 'count'; its options are count, seed, held, questions, stills"),
        ({"kind": KIND, "count": 2, "stills": 1.5}, "stills must be a share from 0 to 1, got 1.5"),
        ({"kind": KIND, "count": 2, "hide": True}, "hide must be a share from 0 to 1, got True"),
        ({"kind": KIND, "count": 2, "rename": "0.5"}, "rename must be a share from 0 to 1, got '0.5'"),
        ({"kind": KIND, "count": 2, "rename": 0.5}, "concepts must name a file where objects are renamed, got none"),
        ({"kind": KIND, "count": 2, "colour": 1}, "unexpected keyword argument 'colour'"),
        ({"kind": "nowhere:Clips"}, "can't be imported: No module named 'nowhere'"),
        ({"kind": "vljepa_edge.errors:Clips"}, "can't be imported"),
        ({"kind": "os:system", "command": "false"}, "os:system must be a class with __len__"),
        ({"kind": "subprocess:Popen", "args": "false"}, "subprocess:Popen must be a class with __len__"),
        ({"kind": ":x"}, "can't be imported"),
    ],
)
def test_a_class_that_is_no_source_is_never_called(spec: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_source(spec)


def test_there_is_no_file_of_it() -> None:
    source = DrawnClips(2)
    assert source.duration(source[0]) == 2.0
    with pytest.raises(VideoError, match="is drawn"):
        source.open(source[0])
    with pytest.raises(IndexError):
        source[2]


def row_of(sample: Sample) -> int:
    """Which clip a sample is of, by its frames' name."""
    return int(sample.media.split("/")[2])


def test_a_question_is_about_the_clip_that_it_comes_with() -> None:
    source = DrawnClips(200, questions=True)
    for i in range(200):
        sample = source[i]
        scene = source.scenes[row_of(sample)]
        if sample.target in [say.sentence(d) for d in say.DIRECTIONS]:
            assert scene.motion == sample.target[:-1].lower()
        if sample.target in [say.sentence(c) for c in say.COUNTS]:
            assert sample.target == say.sentence(say.COUNTS[scene.total() - 1])
        assert sample.target not in sample.negatives


def test_yes_and_no_and_one_two_and_three_of_a_kind_are_equally_often_right() -> None:
    """However many pairs there are, whose number is always two."""
    source = DrawnClips(3000, questions=True)
    samples = [source[i] for i in range(3000)]
    answers = Counter(sample.target for sample in samples)
    assert answers["Yes."] + answers["No."] > 1200
    assert abs(answers["Yes."] - answers["No."]) < 0.1 * (answers["Yes."] + answers["No."])
    of = [source.scenes[row_of(s)] for s in samples if s.target in [say.sentence(c) for c in say.COUNTS]]
    alike = Counter(scene.count for scene in of if scene.second is None)
    assert set(alike) == {1, 2, 3} and max(alike.values()) < 1.35 * min(alike.values())
    assert 0 < len(of) - alike.total() < 0.2 * len(of)


ONLY = {
    "one": [Scene(motion, name) for motion in say.ONE for name in NAMES[2:5]],
    "pairs": [Scene(motion, NAMES[3], NAMES[4]) for motion in say.TWO],
    "groups": [Scene(motion, NAMES[5], None, count) for motion in say.COUNTED_MOTIONS for count in (2, 3)],
    "appear": [Scene("appear", "owl")],
}


@pytest.mark.parametrize("scenes", ONLY.values(), ids=list(ONLY))
def test_every_question_can_be_drawn_whatever_kinds_of_clips_there_are(
    scenes: list[Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawn, "random_scene", lambda rng, *_, **__: rng.choice(scenes))
    source = DrawnClips(60, questions=True)
    for i in range(60):
        sample = source[i]
        assert sample.target and sample.query is not None
        found, _ = source.varied(sample, fake_features(source.scenes[row_of(sample)]), i)
        assert found.target


@pytest.fixture
def concepts(tmp_path: Path) -> Path:
    fake_concepts().save(tmp_path / "concepts.safetensors")
    return tmp_path / "concepts.safetensors"


def test_what_a_step_sees_is_of_the_same_clip_and_another_from_draw_to_draw(concepts: Path) -> None:
    source = open_source({"kind": KIND, "count": 20, "questions": True, "stills": 0.2, "rename": 0.4, "hide": 0.2,
                          "concepts": str(concepts)})  # fmt: skip
    other = pickle.loads(pickle.dumps(source))
    assert isinstance(source, Varied) and isinstance(other, Varied)
    texts: set[str] = set()
    for i in range(20):
        sample = source[i]
        features = fake_features(source.scenes[row_of(sample)])  # type: ignore[attr-defined]
        for draw in (0, 2**64 - 1):
            found, seen = source.varied(sample, features, draw)
            again, same = other.varied(sample, features, draw)
            assert found == again and all(np.array_equal(seen[name], same[name]) for name in features)
            assert (found.key, found.media) == (sample.key, sample.media)
            texts |= {found.target, found.query}
    assert len(texts) > 20
    assert any(word in text.lower() for text in texts for word in (*CLASSES, *NOUNS))


def test_the_kind_of_question_stays_from_draw_to_draw() -> None:
    """Which clip is taken depends on it: a direction is asked about one that has a direction."""
    source = DrawnClips(300, questions=True)
    directions, counts = ([say.sentence(text) for text in texts] for texts in (say.DIRECTIONS, say.COUNTS))
    compared = 0
    for i in range(300):
        sample = source[i]
        for answers in (directions, counts, ["Yes.", "No."]):
            if sample.target in answers:
                found, _ = source.varied(sample, fake_features(source.scenes[row_of(sample)]), i)
                assert found.target in answers
                compared += 1
    assert compared > 150


def test_a_source_that_was_used_takes_no_pictures_along() -> None:
    source = DrawnClips(500)
    before = len(pickle.dumps(source))
    source.varied(source[0], fake_features(source.scenes[0]), 1)
    source.frames(source[0], PLAN)
    assert len(pickle.dumps(source)) == before
