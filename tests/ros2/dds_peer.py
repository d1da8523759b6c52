"""The other end of a ROS 2 graph, in a process of its own: a camera, and one who reads events. Run by test_dds.py.

Topics, types and QoS are named as ROS 2's middleware names them on DDS, so that this end could be ROS nodes.
"""

import json
import sys
import time
from dataclasses import dataclass

from cyclonedds.core import Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import int32, sequence, uint8, uint32
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

XCDR1 = Policy.DataRepresentation(use_cdrv0_representation=True)
SENSOR = Qos(Policy.Reliability.BestEffort, Policy.History.KeepLast(1), XCDR1)
RELIABLE = Qos(Policy.Reliability.Reliable(10**10), Policy.History.KeepLast(100), XCDR1)
PATIENCE = 60.0  # seconds


@dataclass
class Time(IdlStruct, typename="builtin_interfaces::msg::dds_::Time_"):
    sec: int32  # type: ignore[valid-type]
    nanosec: uint32  # type: ignore[valid-type]


@dataclass
class Header(IdlStruct, typename="std_msgs::msg::dds_::Header_"):
    stamp: Time
    frame_id: str


@dataclass
class Image(IdlStruct, typename="sensor_msgs::msg::dds_::Image_"):
    header: Header
    height: uint32  # type: ignore[valid-type]
    width: uint32  # type: ignore[valid-type]
    encoding: str
    is_bigendian: uint8  # type: ignore[valid-type]
    step: uint32  # type: ignore[valid-type]
    data: sequence[uint8]  # type: ignore[valid-type]


@dataclass
class String(IdlStruct, typename="std_msgs::msg::dds_::String_"):
    data: str


def main(domain: int, count: int) -> None:
    """Publish images, four a second by their stamps, until `count` events have come; print those."""
    participant = DomainParticipant(domain)
    camera = DataWriter(participant, Topic(participant, "rt/image", Image), qos=SENSOR)
    events = DataReader(participant, Topic(participant, "rt/vljepa/events", String), qos=RELIABLE)
    end = time.monotonic() + PATIENCE
    number = seen = 0
    while seen < count and time.monotonic() < end:
        if camera.get_matched_subscriptions():
            stamp = Time(1_700_000_000 + number // 4, number % 4 * 250_000_000)
            data = bytes([number * 40 % 256, 80, 120] * (64 * 48))
            camera.write(Image(Header(stamp, "camera"), 48, 64, "rgb8", 0, 192, data))  # type: ignore[arg-type]
            number += 1
        time.sleep(0.02)
        for sample in events.take(100):
            print(json.dumps(json.loads(sample.data)), flush=True)
            seen += 1


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
