"""As much of rclpy as the node uses, with rosbags' messages: enough to run the node's code, no proof of ROS."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

from tests.video.bags import COMPRESSED, IMAGE, ROS2

STRING = "std_msgs/msg/String"


class Policy(Enum):
    BEST_EFFORT = 2
    KEEP_LAST = 1


class Profile(NamedTuple):
    depth: int
    history: Policy
    reliability: Policy


class Result(NamedTuple):
    successful: bool
    reason: str = ""


class Parameter(NamedTuple):
    name: str
    value: Any


class Subscription(NamedTuple):
    type: Any
    topic: str
    callback: Callable[[Any], None]
    qos: Any


class Publisher:
    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.raw: list[bytes] = []

    def publish(self, message: Any) -> None:
        self.raw.append(bytes(ROS2.serialize_cdr(message, STRING)))

    def texts(self) -> list[str]:
        return [ROS2.deserialize_cdr(raw, STRING).data for raw in self.raw]  # type: ignore[attr-defined]


class Logger:
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.failures: list[str] = []

    def warning(self, text: str, throttle_duration_sec: float) -> None:
        self.warnings.append(text)

    def fatal(self, text: str) -> None:
        self.failures.append(text)


class ParameterException(Exception):
    """That rclpy raises for a parameter of another type than its default."""


class Node:
    """A node whose messages are given and taken by the test. `overrides`: parameters of its command line."""

    overrides: dict[str, Any] = {}  # noqa: RUF012
    now = 0  # nanoseconds of the clock

    def __init__(self, name: str) -> None:
        self.name = name
        self.subscriptions: list[Subscription] = []
        self.publishers: list[Publisher] = []
        self.logger = Logger()
        self.parameters: dict[str, Any] = {}
        self.destroyed = False

    def declare_parameter(self, name: str, default: Any) -> None:
        value = self.overrides.get(name, default)
        if type(value) is not type(default):
            raise ParameterException(f"{name} must be {type(default).__name__}, got {value!r}")
        self.parameters[name] = value

    def get_parameter(self, name: str) -> Parameter:
        return Parameter(name, self.parameters[name])

    def create_publisher(self, kind: Any, topic: str, qos: int) -> Publisher:
        self.publishers.append(Publisher(topic))
        return self.publishers[-1]

    def create_subscription(self, kind: Any, topic: str, callback: Callable[[Any], None], qos: Any) -> Subscription:
        self.subscriptions.append(Subscription(kind, topic, callback, qos))
        return self.subscriptions[-1]

    def add_on_set_parameters_callback(self, callback: Callable[[list[Parameter]], Result]) -> None:
        self.on_parameters = callback

    def set(self, **values: Any) -> Result:
        """As `ros2 param set` does."""
        return self.on_parameters([Parameter(*item) for item in values.items()])

    def get_logger(self) -> Logger:
        return self.logger

    def get_clock(self) -> Any:
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=self.now))

    def destroy_node(self) -> None:
        self.destroyed = True


@contextmanager
def ros(logger: Logger | None = None) -> Iterator[None]:
    """Within it the modules of ROS can be imported. logger: of what has no node; a node that spins ends at once."""
    modules = {
        "rclpy": {"init": lambda: None, "spin": lambda node: None, "try_shutdown": lambda: None},
        "rclpy.exceptions": {"ParameterException": ParameterException},
        "rclpy.logging": {"get_logger": lambda name: logger},
        "rclpy.node": {"Node": Node},
        "rclpy.parameter": {"Parameter": Parameter},
        "rclpy.executors": {"ExternalShutdownException": type("ExternalShutdownException", (Exception,), {})},
        "rclpy.qos": {"HistoryPolicy": Policy, "ReliabilityPolicy": Policy, "QoSProfile": Profile},
        "rcl_interfaces": {},
        "rcl_interfaces.msg": {"SetParametersResult": Result},
        "sensor_msgs": {},
        "sensor_msgs.msg": {"Image": ROS2.types[IMAGE], "CompressedImage": ROS2.types[COMPRESSED]},
        "std_msgs": {},
        "std_msgs.msg": {"String": ROS2.types[STRING]},
    }
    before = {name: sys.modules.get(name) for name in modules}
    for name, members in modules.items():
        module = ModuleType(name)
        module.__dict__.update(members)
        sys.modules[name] = module
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
