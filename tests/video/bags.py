"""Writes small bags: messages serialized by rosbags, or by Foxglove's mcap-ros2-support, another hand."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mcap_ros2.writer import Writer as FoxgloveWriter
from numpy.typing import NDArray
from PIL import Image
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_typestore

from tests.media import flat

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
SECOND = 1_000_000_000
BEGIN = 1_760_000_000 * SECOND  # 2025-10-09
ROS2 = get_typestore(Stores.ROS2_JAZZY)
ROS1 = get_typestore(Stores.ROS1_NOETIC)

TIME = "builtin_interfaces/Time stamp\nstring frame_id\n"
HEADER = f"================\nMSG: std_msgs/Header\n{TIME}"
CLOCK = "================\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n"
DEFINITIONS = {
    IMAGE: "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\n"
    f"uint8[] data\n{HEADER}{CLOCK}",
    COMPRESSED: f"std_msgs/Header header\nstring format\nuint8[] data\n{HEADER}{CLOCK}",
}


class Said(NamedTuple):
    """A message as a recorder gets it: `log` and `header` in nanoseconds, the other fields by name."""

    topic: str
    type: str
    log: int
    header: int
    fields: dict[str, Any]


def image(array: NDArray[np.uint8], encoding: str = "rgb8", padding: int = 0) -> dict[str, Any]:
    """The fields of an Image: `array` (height, width) or (height, width, channels), each row `padding` bytes longer."""
    height, width = array.shape[:2]
    rows = array.reshape(height, -1)
    padded = np.hstack([rows, np.full((height, padding), 77, np.uint8)])
    return {
        "height": height,
        "width": width,
        "encoding": encoding,
        "is_bigendian": 0,
        "step": padded.shape[1],
        "data": padded.reshape(-1),
    }


def compressed(array: NDArray[np.uint8], kind: str = "jpeg") -> dict[str, Any]:
    """The fields of a CompressedImage, as image_transport writes them."""
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **({"quality": 95, "subsampling": 0} if kind == "jpeg" else {}))
    return {"format": f"rgb8; {kind} compressed bgr8", "data": np.frombuffer(file.getvalue(), np.uint8)}


def numbered(count: int, topic: str = "/camera/image_raw", rate: int = 10, late: int = 30_000_000) -> list[Said]:
    """Images, each of which shows its number, `rate` a second; the recorder gets each `late` nanoseconds later."""
    stamps = [BEGIN + number * SECOND // rate for number in range(count)]
    return [Said(topic, IMAGE, stamp + late, stamp, image(flat(number))) for number, stamp in enumerate(stamps)]


def serialized(said: Said, ros1: bool = False) -> bytes:
    """The bytes of a message: CDR, or as ROS 1 does it."""
    store = ROS1 if ros1 else ROS2
    sec, nanosec = divmod(said.header, SECOND)
    stamp = store.types["builtin_interfaces/msg/Time"](sec, nanosec)
    fields: dict[str, Any] = {"seq": 0} if ros1 else {}
    header = store.types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera", **fields)
    fields = {"header": header, **said.fields} if said.type in DEFINITIONS else said.fields
    message = store.types[said.type](**fields)
    raw = store.serialize_ros1(message, said.type) if ros1 else store.serialize_cdr(message, said.type)
    return bytes(raw)


def write_folder(path: Path, messages: Sequence[Said], storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
    """A rosbag2 folder. Returns `path`."""
    with Writer2(path, version=9, storage_plugin=storage) as writer:
        added = {key: writer.add_connection(*key, typestore=ROS2) for key in _topics(messages)}
        for said in messages:
            writer.write(added[said.topic, said.type], said.log, serialized(said))
    return path


def write_ros1(path: Path, messages: Sequence[Said]) -> Path:
    """A bag of ROS 1, whose topics have a publisher each. Returns `path`."""
    with Writer1(path) as writer:
        added = {key: writer.add_connection(*key, typestore=ROS1) for key in _topics(messages)}
        for said in messages:
            writer.write(added[said.topic, said.type], said.log, serialized(said, ros1=True))
    return path


def _topics(messages: Sequence[Said]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((said.topic, said.type) for said in messages))


def write_mcap(path: Path, messages: Sequence[Said]) -> Path:
    """One .mcap file, its messages serialized by mcap-ros2-support. Returns `path`."""
    with path.open("wb") as file:
        writer = FoxgloveWriter(file, chunk_size=100_000)
        schemas: dict[str, Any] = {}
        for said in messages:
            if said.type not in schemas:
                schemas[said.type] = writer.register_msgdef(said.type, DEFINITIONS[said.type])
            sec, nanosec = divmod(said.header, SECOND)
            fields = {"header": {"stamp": {"sec": sec, "nanosec": nanosec}, "frame_id": "camera"}, **said.fields}
            fields["data"] = np.asarray(said.fields["data"]).tobytes()
            writer.write_message(said.topic, schemas[said.type], fields, said.log, said.header)
        writer.finish()
    return path


def text(log: int, topic: str = "/chatter") -> Said:
    """A message that is no image."""
    return Said(topic, "std_msgs/msg/String", log, 0, {"data": "hello"})


def mosaic(array: NDArray[np.uint8], pattern: str) -> NDArray[np.uint8]:
    """What a sensor with a Bayer filter sees of an RGB image; pattern: the filter's two rows of two, as `rggb`."""
    seen = np.empty(array.shape[:2], np.uint8)
    for place, colour in enumerate(pattern):
        rows, columns = slice(place // 2, None, 2), slice(place % 2, None, 2)
        seen[rows, columns] = array[rows, columns, "rgb".index(colour)]
    return seen
