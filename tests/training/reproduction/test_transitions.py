"""Which clip leads from one picture to the other: drawn clips, and clips of robots."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.embedders import Knows, Same
from tests.media import flat, write_video
from tests.training.reproduction.drawn_stand_ins import held_out
from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.bundle_embedder import clips
from vljepa_edge.evaluation.items import Change, Media, Transitions
from vljepa_edge.evaluation.protocols.transition import measure
from vljepa_edge.training.reproduction.transitions import (
    CANDIDATES,
    MOTIONS,
    OTHER,
    ROBOT,
    SAME,
    drawn_transitions,
    motion_clip,
    robot_transitions,
)
from vljepa_edge.video.stretch import FramePlan

PLAN = FramePlan(8, 224, 224, rate=4.0)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Transitions:
    return drawn_transitions(tmp_path_factory.mktemp("clips"), held_out(), 9, 3)


def motion_of(media: Media) -> str:
    return media.path.stem.rpartition("-")[2]


def test_every_motion_is_right_once_among_four_different_ones(task: Transitions) -> None:
    assert Counter(item.group for item in task.items) == {SAME: 9, OTHER: 9}
    for group in (SAME, OTHER):
        own = [item for item in task.items if item.group == group]
        assert sorted(motion_of(item.candidates[item.right]) for item in own) == sorted(MOTIONS)
        assert all(len({motion_of(one) for one in item.candidates}) == CANDIDATES for item in own)
    assert len({item.right for item in task.items}) > 1


def test_the_pictures_are_the_first_and_the_last_frame_of_the_right_clip(task: Transitions) -> None:
    for item in task.items[:4]:
        right = next(one for one in task.items if one.group == SAME and one.change == item.change)
        (seen,) = clips(right.candidates[right.right], PLAN, 4)
        (state,) = clips(item.change, PLAN, 4)
        assert np.array_equal(state[0], seen[0]) and np.array_equal(state[-1], seen[-1])
        assert np.array_equal(state[:4], state[[0] * 4]) and np.array_equal(state[4:], state[[-1] * 4])


def test_clips_are_read_as_they_were_drawn(task: Transitions) -> None:
    item = next(item for item in task.items if item.group == SAME)
    (seen,) = clips(item.candidates[0], PLAN, 4)
    held = held_out()
    drawn = [motion_clip(held.painter, name, motion_of(item.candidates[0]), f"3/0/{SAME}") for name in held.names]
    assert any(np.array_equal(seen, one) for one in drawn)


def test_in_another_scene_no_candidate_shows_the_pictures(task: Transitions) -> None:
    for item in task.items:
        (state,) = clips(item.change, PLAN, 4)
        shown = [bool((clips(one, PLAN, 4)[0] == state[0]).all((1, 2, 3)).any()) for one in item.candidates[:2]]
        assert item.group == SAME or not any(shown)


def test_clips_of_one_place_differ_in_the_motion_alone() -> None:
    held = held_out()
    still, left = (motion_clip(held.painter, "owl", motion, "a") for motion in ("still", "left"))
    object_ = still[0, :, :, 1] > 150
    assert np.array_equal(still, still[[0] * 8])
    rows = [np.flatnonzero((frame[:, :, 1] > 150).any(0)).mean() for frame in left]
    assert rows == sorted(rows, reverse=True) and rows[0] - rows[-1] > 50
    assert np.mean(rows) == pytest.approx(np.flatnonzero(object_.any(0)).mean(), abs=2)


def test_who_knows_is_always_right_and_who_says_the_same_of_all_never(task: Transitions) -> None:
    said: dict[Media | Change, str] = {one: motion_of(one) for item in task.items for one in item.candidates}
    said |= {item.change: motion_of(item.candidates[item.right]) for item in task.items}
    assert measure(task, Knows(said))["accuracy"] == 100.0  # type: ignore[arg-type]
    assert measure(task, Same())["accuracy"] == 0.0


def robots(folder: Path, tasks: int) -> Path:
    """Two clips of each task; those of tasks with near numbers look alike."""
    rows = []
    for number in range(2 * tasks):
        path = write_video(folder / f"{number}.mp4", [flat(number)] * 20, fps=10)
        rows.append({"path": str(path), "caption": f"task {number // 2}"})
    table = folder / "robot-test.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return table


def test_robots_are_compared_with_those_that_look_alike_and_do_something_else(tmp_path: Path) -> None:
    task = robot_transitions(robots(tmp_path, 7), 0)
    assert len(task.items) == 14 and {item.group for item in task.items} == {ROBOT}
    far = []
    for place, item in enumerate(task.items):
        shown = [int(one.path.stem) for one in item.candidates]
        assert shown[item.right] == place and len({number // 2 for number in shown}) > 1
        assert [number // 2 for number in shown].count(place // 2) == 1
        far += [abs(number % 6 - place % 6) for number in shown]
    assert np.mean(far) < 2.2
    assert task != robot_transitions(tmp_path / "robot-test.jsonl", 1)
    last = task.items[0].change.after
    assert last.start == pytest.approx(1.85, abs=0.02)


def test_a_table_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        robot_transitions(tmp_path / "robot-test.jsonl", 0)
