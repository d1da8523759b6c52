"""Drawn clips as a source: the same clip for a number, whoever asks; and sources that a run's file names as classes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from tests.training.tiny.fakes import NAMES, cutout, grey_background
from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.training.data.sample import FramePlan
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES
from vljepa_edge.training.tiny import drawn
from vljepa_edge.training.tiny.drawn import DrawnClips

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
    assert {sample.query for sample in samples} == {""}
    assert all(sample.target not in sample.negatives for sample in samples)
    assert sum(bool(sample.negatives) for sample in samples) > 20
    for one in samples:
        for two in samples:
            assert one.target != two.target or one.text_key == two.text_key


def test_questions_have_their_answers() -> None:
    source = DrawnClips(60, questions=True)
    asked = {source[i].query for i in range(60)}
    assert "" not in asked and len(asked) > 10 and asked & set(CAPTION_QUERIES)


def test_held_out_objects_are_never_named_by_the_others() -> None:
    seen, held = DrawnClips(40), DrawnClips(40, held=True)
    assert not set(seen._names) & set(held._names)
    assert seen[0].media != held[0].media


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": KIND, "count": 0}, "count must be an integer of at least 1, got 0"),
        ({"kind": KIND}, "missing a required argument: 'count'; its options are count, seed, held, questions"),
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
