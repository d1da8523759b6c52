"""`vljepa stream` of bags and data sets: what is meant of them are options, and what is wrong with those is said."""

from __future__ import annotations

from pathlib import Path

import pytest

import vljepa_edge
from tests.cli.conftest import Vljepa
from tests.media import flat
from tests.video.bags import SECOND, numbered, write_folder, write_mcap
from tests.video.lerobot_data import write_dataset


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cameras, four seconds each."""
    left, right = numbered(32, "/left", rate=8), numbered(16, "/right", rate=4)
    return write_folder(tmp_path_factory.mktemp("bags") / "drive", sorted([*left, *right], key=lambda m: m.log))


def test_a_topic_of_a_bag_gives_the_events_of_its_frames(vljepa: Vljepa, bag: Path, toy: Path) -> None:
    model = vljepa_edge.load(toy)
    for topic, rate in (("/left", 8), ("/right", 4)):
        run = vljepa("stream", bag, "--topic", topic, "--policy", "uniform:period=1", "--json")
        assert run.status == 0, run.err
        *events, _ = run.json_lines
        frames = [(flat(number), number / rate) for number in range(4 * rate)]
        same = [event.to_dict() for event in model.stream(frames, policy="uniform:period=1") if event.end is not None]
        keys = ("status", "start", "end", "text", "query", "segment")
        assert [[event[key] for key in keys] for event in events] == [[event[key] for key in keys] for event in same]


def test_a_bag_with_one_topic_needs_none_and_other_commands_take_it_too(vljepa: Vljepa, tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "bag.mcap", numbered(20))
    assert vljepa("stream", path, "--json").json_lines[-1]["frames"] == 8
    assert vljepa("classify", path, "--labels", "cat,dog", "--json").status == 0
    assert vljepa("embed", path, "--json").status == 0
    slow = write_mcap(tmp_path / "slow.mcap", [m._replace(log=m.log + n * SECOND) for n, m in enumerate(numbered(4))])
    frames = {clock: vljepa("stream", slow, "--clock", clock, "--json").json_lines[-1]["frames"] for clock in
              ("header", "log")}  # fmt: skip
    assert frames == {"header": 2, "log": 4}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "the topic must be chosen; those with images are /left (sensor_msgs/msg/Image, 32 messages), /right"),
        (("--topic", "/middle"), "the topic must be one with images, got '/middle'; there are /left"),
        (("--topic", "/left", "--clock", "wall"), "clock must be header or log, got 'wall'"),
        (("--topic", "/left", "--out", "seen.mp4"), "captions can be drawn into a video file, not into a bag, got "),
    ],
)
def test_what_is_wrong_with_a_choice_is_said(vljepa: Vljepa, bag: Path, options: tuple[str, ...], said: str) -> None:
    run = vljepa("stream", bag, *options)
    assert run.status != 0 and said in run.err


def test_options_of_bags_are_refused_for_other_sources(vljepa: Vljepa, video: Path) -> None:
    for source in (video, "camera:0", "rtsp://host/door"):
        run = vljepa("stream", source, "--topic", "/left", "--clock", "log")
        assert run.status == 2
        assert f"--topic and --clock must stand beside a bag (a folder, .mcap, .db3 or .bag), got {source}" in run.err


def test_an_episode_of_a_data_set_is_streamed(vljepa: Vljepa, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", [20, 30, 10])
    top = ("--camera", "observation.images.top")
    run = vljepa("stream", data, "--episode", 1, *top, "--json", "--policy", "uniform:period=1")
    assert run.status == 0, run.err
    assert run.json_lines[-1]["frames"] == 12 and run.json_lines[0]["start"] == 0
    for options, said in (
        ((), "is a LeRobot data set; choose one with --episode, from 0"),
        (("--episode", 1), "the camera must be chosen; there are: observation.images.top, observation.images.wrist"),
        (("--episode", 3, *top), "has no episode 3; it has 3"),
        (("--episode", 1, *top, "--topic", "/c"), "--topic must stand beside a bag"),
    ):
        run = vljepa("stream", data, *options)
        assert run.status == 2 and said in run.err


def test_options_of_data_sets_are_refused_for_other_sources(vljepa: Vljepa, video: Path, bag: Path) -> None:
    for source in (video, bag, "camera:0"):
        run = vljepa("stream", source, "--episode", 1, "--camera", "top")
        assert run.status == 2
        assert "--episode and --camera must stand beside a LeRobot data set (a folder with meta/info.json)" in run.err
