"""Events as a topic of an MCAP file: std_msgs/String messages that hold JSON, as ROS 2 tools and Foxglove read them."""

from __future__ import annotations

from typing import BinaryIO

from mcap.writer import Writer
from rosbags.typesys import Stores, get_typestore

TOPIC = "/vljepa/events"
_TYPE = "std_msgs/msg/String"


class EventBag:
    """An MCAP file with one topic, written while events come. Methods raise OSError where it can't be written."""

    def __init__(self, file: BinaryIO) -> None:
        self._store = get_typestore(Stores.ROS2_HUMBLE)
        self._count = 0
        self._writer = Writer(file)
        self._writer.start("ros2")
        definition, _ = self._store.generate_msgdef(_TYPE, ros_version=2)
        schema = self._writer.register_schema(_TYPE, "ros2msg", definition.encode())
        self._channel = self._writer.register_channel(TOPIC, "cdr", schema)

    def add(self, text: str, stamp: int) -> None:
        """A message; stamp: nanoseconds since 1970."""
        message = self._store.types[_TYPE](data=text)
        data = bytes(self._store.serialize_cdr(message, _TYPE))
        self._writer.add_message(self._channel, stamp, data, stamp, self._count)
        self._count += 1

    def finish(self) -> None:
        """Write the index, without which the file is not complete."""
        self._writer.finish()  # type: ignore[no-untyped-call]
