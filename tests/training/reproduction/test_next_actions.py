"""Streams of actions as a source of training: what is seen ends so many seconds before what is asked for begins."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from tests.training.tiny.fakes import NAMES, cutout, grey_background
from vljepa_edge.errors import InputError
from vljepa_edge.training.reproduction import next_actions as made
from vljepa_edge.training.reproduction.next_actions import HORIZONS, LENGTH, TEXTS, NextActions, query
from vljepa_edge.training.tiny.captions import MOTIONS
from vljepa_edge.video.stretch import FramePlan

PLAN = FramePlan(8, 56, 56)


@pytest.fixture(autouse=True)
def plain_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    cutouts = {name: [cutout((40 * number % 255, 90, 200))] for number, name in enumerate(NAMES)}
    monkeypatch.setattr(made, "load_cutouts", lambda folder: cutouts)
    monkeypatch.setattr(made, "load_backgrounds", lambda folders, test: grey_background(90 if test else 160))
    monkeypatch.setattr(made, "held_out", lambda cutouts: frozenset(NAMES[:3]))
    monkeypatch.setattr(made.assets, "stamps_dir", lambda: None)
    monkeypatch.setattr(made.assets, "background_dirs", list)


def test_every_horizon_asks_for_the_same_actions() -> None:
    source = NextActions(3)
    items = [source.item(index) for index in range(len(source))]
    assert len(source) == 3 * 6 * 4 == len({(item.stream, item.seconds, item.asked) for item in items})
    for seconds in HORIZONS:
        own = [(item.stream, item.asked, item.right) for item in items if item.seconds == seconds]
        assert own == [(item.stream, item.asked, item.right) for item in items if item.seconds == 1]
    assert {item.asked for item in items} == set(range(6, LENGTH))


def test_what_is_seen_ends_as_many_seconds_before_as_is_asked() -> None:
    source = NextActions(2)
    for index in range(len(source)):
        item, sample = source.item(index), source[index]
        first, _, second = sample.media.rpartition("/")[2].partition("+")
        ends = 2 * int(second) + 1 if second else 2 * (int(first) + 1)
        assert 2 * item.asked - ends == item.seconds
        assert sample.target == TEXTS[item.right] and sample.query == query(item.seconds)


def test_what_was_seen_last_is_the_motion_so_many_actions_before() -> None:
    source = NextActions(20)
    items = [source.item(index) for index in range(len(source))]
    motions = {(item.stream, item.asked): item.right for item in items}
    for item in items:
        before = motions.get((item.stream, item.asked - HORIZONS[item.seconds]))
        assert before in (None, item.seen)


def test_at_one_second_half_of_each_of_two_actions_is_seen() -> None:
    source = NextActions(1)
    at = {source[index].media.rpartition("/")[2]: source[index] for index in range(len(source))}
    both, first = (source.frames(at[name], PLAN) for name in ("6+7", "6"))
    assert np.array_equal(both[:4], first[4:])
    second = source.frames(at["7"], PLAN)
    assert np.array_equal(both[4:], second[:4]) and not np.array_equal(first, second)


def test_held_out_streams_show_other_objects_before_other_photographs() -> None:
    assert set(NextActions(1, held=True)._names) == set(NAMES[:3])
    assert set(NextActions(1)._names) == set(NAMES[3:])
    frames = [NextActions(1, held=held).frames(NextActions(1, held=held)[0], PLAN) for held in (False, True)]
    assert frames[0][0, 0, 0, 0] != frames[1][0, 0, 0, 0]


def test_a_seed_gives_the_same_streams_again_in_another_process_too() -> None:
    source = NextActions(2, seed=5)
    frames = source.frames(source[7], PLAN)
    again = pickle.loads(pickle.dumps(source))
    assert again[7] == source[7] == NextActions(2, seed=5)[7] and np.array_equal(again.frames(again[7], PLAN), frames)
    assert [NextActions(9, seed=seed).item(0).right for seed in range(9)] != [source.item(0).right] * 9


def test_texts_name_each_motion_once_and_no_object() -> None:
    assert len(set(TEXTS)) == len(TEXTS) == len(MOTIONS) and all("object" in text for text in TEXTS)
    assert query(1) == "What happens next, in 1 second?" and query(10) == "What happens next, in 10 seconds?"


@pytest.mark.parametrize("streams", [0, True, 1.5])
def test_streams_must_be_a_number(streams: object) -> None:
    with pytest.raises(InputError, match="streams must be an integer of at least 1, got"):
        NextActions(streams)  # type: ignore[arg-type]
