"""`vljepa stream --out events.mcap`: the events that are printed, as a topic that other hands read."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader

from tests.cli.conftest import Vljepa, cut_off
from tests.sinks.small_disk import SmallFile
from tests.video.bags import BEGIN, numbered, write_mcap
from vljepa_edge.cli.out_bag import BagFile
from vljepa_edge.model import Model


class Read(NamedTuple):
    topic: str
    stamp: int
    event: dict[str, Any]


def by_foxglove(path: Path) -> Iterator[Read]:
    """As mcap and mcap-ros2-support read it."""
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        for schema, channel, message, decoded in reader.iter_decoded_messages():
            assert schema is not None and schema.name == "std_msgs/msg/String"
            yield Read(channel.topic, message.log_time, json.loads(decoded.data))


def by_rosbags(path: Path) -> Iterator[Read]:
    with AnyReader([path]) as reader:
        for connection, stamp, data in reader.messages():
            message: Any = reader.deserialize(data, connection.msgtype)
            yield Read(connection.topic, stamp, json.loads(message.data))


def test_what_is_printed_is_read_back_equal_by_two_readers(vljepa: Vljepa, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "events.mcap"
    run = vljepa("stream", video, "--open", "--json", "--out", out)
    assert run.status == 0, run.err
    *events, _ = run.json_lines
    for read in (by_foxglove, by_rosbags):
        messages = list(read(out))
        assert [message.event for message in messages] == events and len(events) == 6
        assert {message.topic for message in messages} == {"/vljepa/events"}
        assert [message.stamp for message in messages] == [round(event["decided_at"] * 1e9) for event in events]
    assert os.listdir(tmp_path) == [out.name]


def test_events_are_those_of_the_model(vljepa: Vljepa, video: Path, tmp_path: Path, model: Model) -> None:
    vljepa("stream", video, "--out", tmp_path / "events.mcap")
    seen = [event.to_dict() for event in model.stream(video, decode="closed") if event.status == "closed"]
    read = [message.event for message in by_rosbags(tmp_path / "events.mcap")]
    assert [event.pop("type") for event in read] == ["event"] * len(seen)
    for event in (*seen, *read):
        del event["latency_ms"]
    assert read == seen and len(seen) == 3


@pytest.mark.parametrize(("clock", "late"), [("header", 0), ("log", 30_000_000)])
def test_events_of_a_bag_are_stamped_on_its_clock(vljepa: Vljepa, tmp_path: Path, clock: str, late: int) -> None:
    bag, out = write_mcap(tmp_path / "bag.mcap", numbered(32, rate=8)), tmp_path / "events.mcap"
    run = vljepa("stream", bag, "--clock", clock, "--open", "--json", "--out", out)
    assert run.status == 0, run.err
    decided = [event["decided_at"] for event in run.json_lines[:-1]]
    assert [message.stamp for message in by_rosbags(out)] == [BEGIN + late + round(at * 1e9) for at in decided]


def test_a_source_that_dies_leaves_a_complete_file_of_what_was_seen(
    vljepa: Vljepa, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(monkeypatch, after=21)
    out = tmp_path / "events.mcap"
    run = vljepa("stream", video, "--json", "--out", out)
    assert run.status != 0 and "lost" in run.err
    assert [message.event for message in by_foxglove(out)] == run.json_lines[:-1] and len(run.json_lines) > 1


def test_a_source_that_gives_nothing_leaves_the_file_that_was_there(vljepa: Vljepa, tmp_path: Path) -> None:
    out = tmp_path / "events.mcap"
    out.write_text("before")
    assert vljepa("stream", tmp_path / "nosuch.mp4", "--out", out).status != 0
    assert out.read_text() == "before" and os.listdir(tmp_path) == [out.name]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line_that_names_the_file(vljepa: Vljepa, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "events.mcap"
    out.symlink_to("/dev/full")
    run = vljepa("stream", video, "--out", out)
    assert run.status == 1
    assert run.err.splitlines()[-1] == f"error: {out}: No space left on device"


class Disk:
    """Where the file is written. Each event asks for less than a thousand bytes, the end for less than that."""

    room = 1 << 40
    file: SmallFile


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    given, plain = Disk(), Path.open

    def small(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if (path.suffix, mode) != (".mcap", "wb"):
            return plain(path, mode, *rest, **named)
        given.file = SmallFile(str(path), "wb")
        given.file.room = given.room
        return given.file

    monkeypatch.setattr(Path, "open", small)
    return given


def test_of_a_file_a_full_disk_ends_the_stream_and_what_was_written_is_complete(
    vljepa: Vljepa, video: Path, tmp_path: Path, disk: Disk
) -> None:
    out = tmp_path / "events.mcap"
    out.write_text("before")
    disk.room = 3600
    run = vljepa("stream", video, "--policy", "uniform:period=1", "--json", "--out", out)
    assert run.status == 1 and run.err == f"error: {out}: No space left on device\n"
    for read in (by_foxglove, by_rosbags):
        assert [message.event for message in read(out)] == run.json_lines and 1 <= len(run.json_lines) < 9
    assert os.listdir(tmp_path) == [out.name]


def test_of_a_camera_the_file_is_complete_at_any_time_and_has_what_waited_for_room(tmp_path: Path, disk: Disk) -> None:
    out, bag = tmp_path / "events.mcap", BagFile(tmp_path / "events.mcap")
    bag.begin(a_stream(live=True))
    for number in range(20):
        if disk.room < 1 << 40:
            disk.file.room = disk.room
        bag.event(an_event(number), {"number": number, "text": "x" * 300})
        read = [message.event["number"] for message in by_foxglove(out)]
        assert read == [message.event["number"] for message in by_rosbags(out)] == list(range(len(read)))
        assert len(read) == min(number, 5) + 1
        disk.room = 1 << 40 if number < 5 else out.stat().st_size + 100
    disk.file.room = 1 << 40
    bag.close(complete=False)
    assert [message.event["number"] for message in by_foxglove(out)] == list(range(20))


def test_events_of_a_camera_have_the_time_of_the_machine_when_each_was_decided(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, now = tmp_path / "events.mcap", [0.0]
    monkeypatch.setattr("vljepa_edge.cli.out_bag.time.time_ns", lambda: round(now[0] * 1e9))
    bag = BagFile(out)
    bag.begin(a_stream(live=True))
    disk.room = 0  # what waits for the disk was decided when it was told
    for number, (time, decided_at) in enumerate([(5.0, 2.0), (1.8e9, 3.0), (1.8e9 + 3600, 4.0)]):  # set; asleep
        now[0] = time
        bag.event(an_event(decided_at, latency=0.25), {"number": number})
    disk.file.room = 1 << 40
    now[0] = 2e9
    bag.close(complete=False)
    read = [message.stamp / 1e9 for message in by_foxglove(out)]
    assert sorted(read) == pytest.approx([4.75, 1.8e9 - 0.25, 1.8e9 + 3599.75], abs=1e-3)


def test_a_pipe_gets_a_complete_file(tmp_path: Path) -> None:
    out, copy = tmp_path / "events.mcap", tmp_path / "copy.mcap"
    os.mkfifo(out)
    with copy.open("wb") as target, subprocess.Popen(["cat", str(out)], stdout=target):
        bag = BagFile(out)
        bag.begin(a_stream(live=False))
        for number in range(3):
            bag.event(an_event(number), {"number": number})
        bag.close(complete=True)
    assert [message.event["number"] for message in by_foxglove(copy)] == [0, 1, 2]


def a_stream(*, live: bool, epoch_ns: int | None = None) -> Any:
    return SimpleNamespace(source=SimpleNamespace(live=live, stats=SimpleNamespace(epoch_ns=epoch_ns)))


def an_event(decided_at: float, latency: float = 0.0) -> Any:
    """latency: seconds from the frame to now."""
    return SimpleNamespace(decided_at=decided_at, latency_ms={"total": 1e3 * latency})
