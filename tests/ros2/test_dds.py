"""The node's code over DDS, as ROS 2's middleware uses it, between two processes on the loopback interface.

What is still missing to ROS: rclpy itself. Needs `pip install cyclonedds`; without it these tests skip.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.alone

pytest.importorskip("cyclonedds", reason="cyclonedds is not installed: no DDS to talk through")

LOOPBACK = (
    "<CycloneDDS><Domain><General><Interfaces><NetworkInterface name='lo' multicast='true'/></Interfaces>"
    "</General></Domain></CycloneDDS>"
)
DOMAIN = 91


def test_images_come_and_events_go_over_a_real_ros_2_topic(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CYCLONEDDS_URI", LOOPBACK)
    from cyclonedds.domain import DomainParticipant
    from cyclonedds.pub import DataWriter
    from cyclonedds.sub import DataReader
    from cyclonedds.topic import Topic

    from tests.ros2.dds_peer import RELIABLE, SENSOR, Image, String

    participant = DomainParticipant(DOMAIN)
    images = DataReader(participant, Topic(participant, "rt/image", Image), qos=SENSOR)
    writer = DataWriter(participant, Topic(participant, "rt/vljepa/events", String), qos=RELIABLE)
    node = make(policy="uniform:period=1")
    node._event_publisher = SimpleNamespace(publish=lambda message: writer.write(String(message.data)))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    peer = subprocess.Popen(
        [sys.executable, "-m", "tests.ros2.dds_peer", str(DOMAIN), "4"],
        stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        end = time.monotonic() + 90
        while peer.poll() is None and time.monotonic() < end:
            for message in images.take_iter(timeout=10_000_000):
                node.subscriptions[0].callback(message)
    finally:
        peer.kill()
    events = [json.loads(line) for line in peer.communicate()[0].splitlines()]
    assert [event["status"] for event in events][:3] == ["open", "closed", "open"] and len(events) >= 4
    assert all(event["start"] >= 1_700_000_000 for event in events)
    assert events[0]["segment"] == 0 and events[1]["end"] == events[2]["start"]
    assert node.logger.warnings == []
