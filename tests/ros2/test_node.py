"""The node's code, run with a stand-in for rclpy and real message bytes. It says nothing of ROS itself."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

import vljepa_edge.model
from tests.media import flat
from tests.ros2.ros_stand_in import Policy, Profile
from tests.video.bags import BEGIN, COMPRESSED, IMAGE, ROS2, SECOND, Said, compressed, numbered, serialized
from vljepa_edge.model import Model

Make = Callable[..., Any]
Ended = Callable[..., tuple[int, list[str]]]


def deliver(node: Any, messages: list[Said]) -> None:
    """Give a node the bytes of messages, as its subscription does, each once the one before has been looked at."""
    (subscription,) = node.subscriptions
    for said in messages:
        subscription.callback(ROS2.deserialize_cdr(serialized(said), said.type))
        end = time.monotonic() + 30
        while (stats := node._watcher.stream.stats()).encoded + stats.skipped < stats.frames:
            assert time.monotonic() < end
            time.sleep(0.001)


def events_of(node: Any) -> list[dict[str, Any]]:
    (publisher,) = node.publishers
    return [json.loads(text) for text in publisher.texts()]


def test_images_become_events_on_the_clock_of_their_headers(make: Make) -> None:
    node = make()
    deliver(node, numbered(9, rate=4))
    node.destroy_node()
    events = events_of(node)
    assert {event["type"] for event in events} == {"event"}
    assert [events[0]["status"], events[-1]["status"]] == ["open", "closed"]
    assert events[0]["start"] == BEGIN / SECOND and events[-1]["end"] == BEGIN / SECOND + 2
    assert node.destroyed and node.logger.warnings == []
    assert node.publishers[0].topic == "~/events"


def test_the_newest_image_is_wanted_as_sensors_publish_it(make: Make) -> None:
    (subscription,) = make(image="/camera/image_raw").subscriptions
    assert subscription.topic == "/camera/image_raw" and subscription.type is ROS2.types[IMAGE]
    assert subscription.qos == Profile(1, Policy.KEEP_LAST, Policy.BEST_EFFORT)


def test_compressed_images_come_on_the_topic_that_image_transport_names(make: Make) -> None:
    node = make(image="/camera", transport="compressed")
    (subscription,) = node.subscriptions
    assert subscription.topic == "/camera/compressed" and subscription.type is ROS2.types[COMPRESSED]
    stamps = [BEGIN + number * SECOND // 4 for number in range(5)]
    deliver(node, [Said("/camera/compressed", COMPRESSED, s, s, compressed(flat(n))) for n, s in enumerate(stamps)])
    node.destroy_node()
    assert events_of(node)[-1]["end"] == BEGIN / SECOND + 1


def test_without_stamps_it_says_so_and_the_clock_of_arrival_is_a_choice(make: Make) -> None:
    unstamped = [said._replace(header=0) for said in numbered(3)]
    node = make()
    deliver(node, unstamped)
    assert node.logger.warnings == ["images have no stamps; set clock:=arrival"] * 3
    node = make(clock="arrival")
    node.now = 7 * SECOND
    deliver(node, unstamped[:1])
    node.destroy_node()
    assert [event["start"] for event in events_of(node)] == [7.0, 7.0]


def test_a_message_that_is_no_image_is_a_warning_and_the_node_goes_on(make: Make) -> None:
    messages = numbered(8, rate=4)
    messages[2].fields["encoding"] = "16UC1"
    messages[4].fields["data"] = np.zeros(5, np.uint8)
    node = make()
    deliver(node, messages)
    node.destroy_node()
    first, second = node.logger.warnings
    assert "got '16UC1'" in first and "must have 9216 bytes of data, got 5" in second
    assert events_of(node)[-1]["end"] == BEGIN / SECOND + 1.75


def test_parameters_change_what_is_asked_while_it_runs(make: Make, model: Model) -> None:
    node = make(query="What is happening?")
    deliver(node, numbered(3, rate=4))
    assert node.set(query="What moves?", policy="uniform:period=1", watch="cup, dog") == (True, "")
    stream = node._watcher.stream
    assert (stream.queries, stream.watched) == (("What moves?",), ("cup", "dog"))
    assert stream.policy == vljepa_edge.Uniform(period=1)
    assert node.set(query="", watch="") == (True, "")
    assert (stream.queries, stream.watched) == ((model.manifest.text.default_query,), ())
    assert node.set(use_sim_time=True).successful  # of every node


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"policy": "now"}, "policy"),
        ({"query": "What moves?", "policy": "uniform:period=-1"}, "period"),
        ({"query": "What moves?", "watch": "cup,cup"}, "cup"),
        ({"image": "/other"}, "image can't change while the node runs"),
    ],
)
def test_a_parameter_that_is_not_allowed_says_why_and_changes_nothing(
    make: Make, values: dict[str, Any], reason: str
) -> None:
    node = make()
    before = (node._watcher.stream.queries, node._watcher.stream.policy, node._watcher.stream.watched)
    result = node.set(**values)
    assert not result.successful and reason in result.reason
    assert (node._watcher.stream.queries, node._watcher.stream.policy, node._watcher.stream.watched) == before


@pytest.mark.parametrize("name", ["transport", "clock"])
def test_a_choice_that_is_none_is_refused_at_the_start(make: Make, name: str) -> None:
    with pytest.raises(vljepa_edge.InputError, match=rf"{name} must be \w+ or \w+, got 'other'"):
        make(**{name: "other"})


def test_the_package_names_the_same_parameters_version_and_entry_everywhere(package: Path, make: Make) -> None:
    defaults = sys.modules["vljepa_ros.node"].DEFAULTS
    assert yaml.safe_load((package / "config/vljepa.yaml").read_text())["/**"]["ros__parameters"] == defaults
    xml = ElementTree.parse(package / "package.xml").getroot()
    setup = (package / "setup.py").read_text()
    assert xml.findtext("version") == re.search(r'version="([\d.]+)"', setup)[1] == vljepa_edge.__version__  # type: ignore[index]
    assert xml.findtext("name") == "vljepa_ros" and xml.findtext("export/build_type") == "ament_python"
    for name in re.findall(r'"((?:launch|config)/[^"]+|package.xml)"', setup):
        assert (package / name).is_file()
    depends = {element.text for element in xml.iter("exec_depend")}
    source = (package / "vljepa_ros/node.py").read_text()
    imported = set(re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE)) - {
        "__future__",
        "typing",
        "vljepa_edge",
    }
    assert imported <= depends


def test_the_package_in_cpp_has_the_same_version_and_parameters(package: Path, make: Make) -> None:
    """And still and reuse; it decodes no compressed images. Its core is tested in bindings/tests."""
    make()
    other = package.parent / "vljepa_ros_cpp"
    assert ElementTree.parse(other / "package.xml").findtext("version") == vljepa_edge.__version__
    declared = set(re.findall(r'declare_parameter<[\w:]+>\("(\w+)"', (other / "src/node.cpp").read_text()))
    assert declared - {"still", "reuse"} == set(sys.modules["vljepa_ros.node"].DEFAULTS) - {"transport"}


def test_strings_are_cdr_as_ros_reads_them(make: Make) -> None:
    node = make()
    deliver(node, numbered(2, rate=4))
    node.destroy_node()
    raw, text = node.publishers[0].raw[0], node.publishers[0].texts()[0]
    assert raw == b"\0\1\0\0" + (len(text) + 1).to_bytes(4, "little") + text.encode() + b"\0"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"clock": "other"}, "clock must be header or arrival, got 'other'"),
        ({"policy": "often"}, "policy must be"),
        ({"threads": "2"}, "threads must be int"),
    ],
    ids=["value", "the model's options", "type"],
)
def test_a_parameter_that_is_wrong_ends_the_program_with_a_line(wrong: dict[str, Any], said: str, ended: Ended) -> None:
    status, failures = ended(**wrong)
    assert status == 1 and len(failures) == 1 and said in failures[0]


def test_the_program_ends_with_its_node(ended: Ended) -> None:
    assert ended() == (0, [])
