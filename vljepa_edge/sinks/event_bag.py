"""Events as a topic of an MCAP file: std_msgs/String messages that hold JSON, as ROS 2 tools and Foxglove read them."""

from __future__ import annotations

from copy import deepcopy
from typing import IO, Any, cast

from mcap.writer import Writer
from rosbags.typesys import Stores, get_typestore

from vljepa_edge.sinks.piece_file import Piece

TOPIC = "/vljepa/events"
_TYPE = "std_msgs/msg/String"


class EventBag:
    """Makes the pieces of an MCAP file with one topic, which is complete after each of them.

    Messages lie one after the other, without chunks: a chunk is in memory until it is full, so a kill would take many
    events with it, rare as they are.
    """

    def __init__(self) -> None:
        self._types = get_typestore(Stores.ROS2_HUMBLE)
        self._count = 0
        self._written = _Written()
        self._writer = Writer(cast("IO[Any]", self._written), use_chunking=False)
        self._writer.start("ros2")
        definition, _ = self._types.generate_msgdef(_TYPE, ros_version=2)
        schema = self._writer.register_schema(_TYPE, "ros2msg", definition.encode())
        self._channel = self._writer.register_channel(TOPIC, "cdr", schema)

    def add(self, text: str, stamp: int) -> Piece:
        """A message; stamp: nanoseconds since 1970."""
        message = self._types.types[_TYPE](data=text)
        data = bytes(self._types.serialize_cdr(message, _TYPE))
        self._writer.add_message(self._channel, stamp, data, stamp, self._count)
        self._count += 1
        return self.piece()

    def piece(self) -> Piece:
        """What there is since the last piece, and the end of a file that ends here."""
        data = self._written.take()
        writer, end = deepcopy((self._writer, self._written))
        writer.finish()  # type: ignore[no-untyped-call]
        return Piece(data, end.take())


class _Written:
    """What a Writer takes for a file."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._taken = 0

    def write(self, data: bytes) -> None:
        self._data += data

    def tell(self) -> int:
        return self._taken + len(self._data)

    def take(self) -> bytes:
        """All that was not taken before."""
        data = bytes(self._data)
        self._taken += len(data)
        self._data.clear()
        return data
