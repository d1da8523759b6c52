"""Bags: recordings of ROS 2 (folders, MCAP, SQLite) and ROS 1, of which one image topic is a video. Read by rosbags."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_edge.errors import FrameError, InputError, VideoError, redacted
from vljepa_edge.support.arguments import as_path, shown
from vljepa_edge.support.install import require
from vljepa_edge.video.frame import Picture, Pictures, SourceStats
from vljepa_edge.video.recording import Recording
from vljepa_edge.video.ros.images import holds_image, reader_of
from vljepa_edge.video.ros.stamps import CLOCKS, Clock, ClockFault, Stamps
from vljepa_edge.video.timing import Timeline

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.rosbag1 import Reader as Reader1
    from rosbags.rosbag2 import Reader as Reader2

_SUFFIXES = (".mcap", ".db3", ".bag")
_METADATA = "metadata.yaml"
_MCAP_END = b"\x89MCAP0\r\n"
_SECOND = 1_000_000_000
_INTERVAL = 1 / 30  # seconds between frames, for one that has the stamp of the one before it


@dataclass(frozen=True)
class Bag(Recording):
    """An image topic of a bag, as a source: `model.stream(Bag("drive.mcap", topic="/camera/image_raw"))`.

    path: of a rosbag2 folder, or of an .mcap, .db3 or ROS 1 .bag file
    topic: of sensor_msgs/Image or CompressedImage; None where the bag has one such topic
    clock: "header": a frame's time is when the camera took it. "log": when it was recorded; for cameras that set no
        stamps, or wrong ones

    Second 0 is the first frame. Raises InputError for a clock that is none.
    """

    path: str | os.PathLike[str]
    topic: str | None = None
    clock: Clock = "header"

    def __post_init__(self) -> None:
        as_path(self.path, "the path of a bag")
        if self.clock not in CLOCKS:
            raise InputError(f"clock must be {' or '.join(CLOCKS)}, got {shown(self.clock)}")

    @property
    def name(self) -> str:
        return redacted(os.fspath(self.path))

    def _open(self, stats: SourceStats) -> OpenBag:
        return OpenBag(self, stats)


def is_bag(path: str) -> bool:
    """Whether a path looks like one of a bag: by its ending, or, of a folder, by what is in it."""
    place = Path(path)
    if os.path.isdir(path):  # which no name makes raise
        return (place / _METADATA).is_file() or any(next(place.glob(f"*{end}"), None) for end in (".mcap", ".db3"))
    return place.suffix.lower() in _SUFFIXES


class OpenBag:
    """One open bag. Messages are read one by one; of a compressed MCAP a chunk is in memory at once."""

    def __init__(self, bag: Bag, stats: SourceStats) -> None:
        require(["rosbags"], "ros")
        self._name = bag.name
        self._stats = stats
        self._stamps = Stamps(bag.clock)
        path = Path(bag.path)
        with self._reading("can't be read as a bag"):
            self._reader = _reader(path)
            self._reader.open()
        try:
            with self._reading("can't be read as a bag"):
                self._connections = self._choose(bag.topic)
            self._ros1 = path.suffix.lower() == ".bag"
            self._store = _typestore(self._ros1)
        except BaseException:
            self._reader.close()
            raise
        self._closed = False

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._reader.close()

    def pictures(self) -> Pictures:
        """Each message of the topic at its time; pictures that don't decode are counted and left out."""
        timeline = Timeline(self._stats, _INTERVAL)
        begun: int | None = None
        try:
            for number, (connection, log, data) in enumerate(self._messages(), start=1):
                message = self._message(connection, data, number)
                stamp = self._stamp(message, log, number)
                try:
                    frame = reader_of(connection.msgtype)(message)
                except FrameError as error:
                    raise VideoError(self._name, self._at(number, str(error))) from error
                if frame is None:
                    self._stats.corrupt += 1
                    continue
                self._stats.frames_decoded += 1
                if begun is None:
                    begun = self._stats.epoch_ns = stamp
                time = timeline.place((stamp - begun) / _SECOND)
                if time is not None:
                    yield Picture(frame, time)
        finally:
            self.close()

    def _messages(self) -> Iterator[tuple[Connection, int, bytes]]:
        with self._reading("damaged or cut off"):
            yield from self._reader.messages(connections=self._connections)

    def _message(self, connection: Connection, data: bytes, number: int) -> Any:
        deserialize = self._store.deserialize_ros1 if self._ros1 else self._store.deserialize_cdr
        try:
            return deserialize(data, connection.msgtype)
        except Exception as error:  # of whatever type its generated code raises
            size = f"{len(data)} bytes are not a complete {connection.msgtype}"
            raise VideoError(self._name, self._at(number, size)) from error

    def _stamp(self, message: Any, log: int, number: int) -> int:
        stamp = message.header.stamp
        try:
            return self._stamps(int(stamp.sec) * _SECOND + int(stamp.nanosec), log)
        except ClockFault as error:
            reason = self._at(number, f'{error}; take the time of recording: clock="log", --clock log')
            raise VideoError(self._name, reason) from None

    def _at(self, number: int, what: str) -> str:
        return f"message {number} of {self._connections[0].topic}: {what}"

    def _choose(self, topic: str | None) -> list[Connection]:
        """The connections of the topic: in a ROS 1 bag each publisher has one."""
        found: dict[str, list[Connection]] = {}
        for connection in self._reader.connections:
            if holds_image(connection.msgtype):
                found.setdefault(connection.topic, []).append(connection)
        there = ", ".join(_described(connections) for connections in found.values())
        if not found:
            others = sorted({f"{other.topic} ({other.msgtype})" for other in self._reader.connections})
            held = ", ".join(others) or "no topics at all"
            raise VideoError(self._name, f"no topic of sensor_msgs/Image or CompressedImage; it has {held}")
        if topic is None and len(found) > 1:
            raise InputError(f"{self._name}: the topic must be chosen; those with images are {there}")
        chosen = next(iter(found)) if topic is None else topic
        if chosen not in found:
            raise InputError(f"{self._name}: the topic must be one with images, got {shown(topic)}; there are {there}")
        return found[chosen]

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """Within it, what rosbags and its databases raise at a bag that is damaged is a VideoError."""
        try:
            yield
        except (VideoError, InputError):
            raise
        except Exception as error:
            raise VideoError(self._name, f"{what} ({' '.join(str(error).split())})") from error


def _described(connections: list[Connection]) -> str:
    count = sum(connection.msgcount for connection in connections)
    return f"{connections[0].topic} ({connections[0].msgtype}, {count} messages)"


def _reader(path: Path) -> Reader1 | Reader2:
    from rosbags.rosbag1 import Reader as Reader1
    from rosbags.rosbag2 import Reader as Reader2

    if not path.exists():
        raise VideoError(path, "no such file or folder")
    if path.is_dir() and not (path / _METADATA).is_file():
        raise VideoError(path, f"a folder without {_METADATA}: name a file in it, or run `ros2 bag reindex`")
    if path.is_file() and path.stat().st_size == 0:
        raise VideoError(path, "the file is empty (0 bytes)")
    if path.suffix.lower() == ".mcap" and path.is_file():
        with path.open("rb") as file:
            file.seek(-min(len(_MCAP_END), path.stat().st_size), os.SEEK_END)
            if file.read() != _MCAP_END:
                raise VideoError(path, "cut off or still being written: its end is missing; `mcap recover` repairs it")
    return Reader1(path) if path.suffix.lower() == ".bag" else Reader2(path)


def _typestore(ros1: bool) -> Any:
    """Definitions of messages. Those of images are the same in every ROS 2; rosbags makes code of definitions, and so
    none is made of what a bag says."""
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS1_NOETIC if ros1 else Stores.ROS2_HUMBLE)
