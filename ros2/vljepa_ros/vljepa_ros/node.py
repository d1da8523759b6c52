"""The node `vljepa`: images of a camera in, what happens in them out.

NOT VERIFIED ON ROS: it was run with a stand-in for rclpy and real message bytes (tests/ros2), never in a ROS graph.
"""

from __future__ import annotations

from typing import Any

import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

import vljepa_edge
from vljepa_edge.robots.watcher import Watcher
from vljepa_edge.video.ros.images import compressed_frame, image_frame

# As sensors publish, and the newest image only: while one is looked at, those that it makes old are let go.
LATEST = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT)
EVENTS = 10  # that may wait for a slow subscriber
QUIET = 10.0  # seconds between two warnings of the same kind

# Those that may change while the node runs come last.
DEFAULTS: dict[str, Any] = {
    "model": "",  # a bundle; the embedded one
    "engine": "openvino",
    "threads": 0,  # as many as the engine chooses
    "image": "image",
    "transport": "raw",  # or compressed
    "clock": "header",  # or arrival
    "decode": "both",
    "query": "",  # the model's
    "policy": "running-ward",
    "watch": "",  # labels, with commas between them
}
CHANGING = ("query", "policy", "watch")


class VljepaNode(Node):
    """Subscribes to `image` (or `image`/compressed), publishes `~/events`: std_msgs/String with the JSON of an event.

    Times of events are seconds since 1970 on the clock of the images' headers, or on the node's with clock:=arrival.
    """

    def __init__(self) -> None:
        super().__init__("vljepa")
        for name, default in DEFAULTS.items():
            self.declare_parameter(name, default)
        value = {name: self.get_parameter(name).value for name in DEFAULTS}
        for name, allowed in (("transport", ("raw", "compressed")), ("clock", ("header", "arrival"))):
            if value[name] not in allowed:
                raise vljepa_edge.InputError(f"{name} must be {' or '.join(allowed)}, got {value[name]!r}")
        self._by_header = value["clock"] == "header"
        self._event_publisher = self.create_publisher(String, "~/events", EVENTS)
        model = vljepa_edge.load(value["model"] or None, engine=value["engine"], threads=value["threads"] or None)
        self._watcher = Watcher(
            model,
            lambda line: self._event_publisher.publish(String(data=line)),
            query=value["query"] or None,
            watch=read_labels(value["watch"]),
            options=vljepa_edge.StreamOptions(policy=value["policy"], decode=value["decode"]),
        )
        compressed = value["transport"] == "compressed"
        self._read = compressed_frame if compressed else image_frame
        self.create_subscription(
            CompressedImage if compressed else Image,
            f"{value['image']}/compressed" if compressed else value["image"],
            self._on_image,
            LATEST,
        )
        self.add_on_set_parameters_callback(self._on_parameters)

    def destroy_node(self) -> None:
        """Publish the events of what was going on, and end."""
        self._watcher.close()
        super().destroy_node()

    def _on_image(self, message: Any) -> None:
        stamp = message.header.stamp
        time = stamp.sec + stamp.nanosec / 1e9
        if not self._by_header:
            time = self.get_clock().now().nanoseconds / 1e9
        elif time == 0:
            self.get_logger().warning("images have no stamps; set clock:=arrival", throttle_duration_sec=QUIET)
            return
        try:
            self._watcher.see(lambda: self._read(message), time)
        except vljepa_edge.VLJepaError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=QUIET)

    def _on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        given = {parameter.name: parameter.value for parameter in parameters}
        fixed = [name for name in given if name in DEFAULTS and name not in CHANGING]
        if fixed:
            return SetParametersResult(successful=False, reason=f"{fixed[0]} can't change while the node runs")
        changes: dict[str, Any] = {name: given[name] for name in ("query", "policy") if name in given}
        if changes.get("query") == "":
            changes["query"] = self._watcher.stream.model.manifest.text.default_query
        if "watch" in given:
            changes["watch"] = read_labels(given["watch"])
        try:
            self._watcher.change(**changes)
        except vljepa_edge.VLJepaError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)


def read_labels(text: str) -> list[str]:
    """`cup, a person` as a list."""
    return [label.strip() for label in text.split(",") if label.strip()]


def main() -> int:
    """`ros2 run vljepa_ros vljepa`. The exit status: 1 for parameters that can't be used."""
    rclpy.init()
    try:
        node = VljepaNode()
    except (vljepa_edge.VLJepaError, ParameterException) as error:
        get_logger("vljepa").fatal(str(error))
        rclpy.try_shutdown()
        return 1
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0
