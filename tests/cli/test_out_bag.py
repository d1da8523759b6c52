"""`vljepa stream --out events.mcap`: the events that are printed, as a topic that other hands read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader

from tests.cli.conftest import Vljepa, cut_off
from tests.video.bags import BEGIN, numbered, write_mcap
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


def test_a_write_that_fails_leaves_what_was_there(
    vljepa: Vljepa, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vljepa_edge.sinks.event_bag.EventBag.add", full)
    out = tmp_path / "events.mcap"
    out.write_text("before")
    run = vljepa("stream", video, "--out", out)
    assert run.status == 1 and f"error: {out}: No space left on device" in run.err
    assert out.read_text() == "before" and os.listdir(tmp_path) == [out.name]
