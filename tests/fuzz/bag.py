"""Bags of each kind, and data sets of LeRobot, whose bytes are damaged."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from mcap.writer import CompressionType, Writer
from rosbags.rosbag2 import StoragePlugin

from tests.fuzz._damage import damaged_bytes, damaged_json
from tests.media import flat
from tests.video.bags import (
    BEGIN,
    COMPRESSED,
    DEFINITIONS,
    SECOND,
    Said,
    compressed,
    numbered,
    serialized,
    write_folder,
    write_mcap,
    write_ros1,
)
from tests.video.lerobot_data import write_dataset
from vljepa_edge.video.lerobot import Episode
from vljepa_edge.video.recording import Recording
from vljepa_edge.video.ros.bag import Bag
from vljepa_edge.video.source import open_source


def cases(rng: random.Random, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each call reads a damaged bag or data set to its end."""
    stamps = [BEGIN + number * SECOND // 5 for number in range(6)]
    images = numbered(6)
    pictures = [
        Said("/camera", COMPRESSED, s, s, compressed(flat(n), "png" if n % 2 else "jpeg")) for n, s in enumerate(stamps)
    ]
    bags = {
        "plain.mcap": write_plain(folder / "plain.mcap", [*images, *pictures]),
        "chunks.mcap": write_mcap(folder / "chunks.mcap", pictures),
        "rows.db3": next(write_folder(folder / "rows", images, StoragePlugin.SQLITE3).glob("*.db3")),
        "one.bag": write_ros1(folder / "one.bag", [*images, *pictures]),
    }
    files = {name: path.read_bytes() for name, path in bags.items()}
    folders = {"metadata.yaml": write_folder(folder / "folder", images)}
    dataset = write_dataset(folder / "dataset", [3, 4], cameras=("camera",))
    info = json.loads((dataset / "meta/info.json").read_text())
    tables = {path: path.read_bytes() for path in dataset.rglob("*.parquet")}
    metadata = (folders["metadata.yaml"] / "metadata.yaml").read_bytes()
    target = folder / "damaged"
    while True:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        kind = rng.random()
        if kind < 0.8:
            name = rng.choice(list(files))
            (target / name).write_bytes(damaged_bytes(files[name], rng))
            bag = Bag(target / name, rng.choice((None, "/camera")), rng.choice(("header", "log")))
            yield f"bag/{name}", lambda bag=bag: use(bag)  # type: ignore[misc]
        elif kind < 0.9:
            (folders["metadata.yaml"] / "metadata.yaml").write_bytes(damaged_bytes(metadata, rng))
            yield "bag/metadata.yaml", lambda: use(Bag(folders["metadata.yaml"]))
        else:
            (dataset / "meta/info.json").write_bytes(damaged_json(info, rng))
            for path, data in tables.items():
                path.write_bytes(damaged_bytes(data, rng) if rng.random() < 0.3 else data)
            yield "lerobot", lambda: use(Episode(dataset, 1))


def write_plain(path: Path, messages: list[Said]) -> Path:
    """An MCAP without compression and checksums: damage reaches what is in it."""
    with path.open("wb") as file:
        writer = Writer(file, compression=CompressionType.NONE, enable_crcs=False)
        writer.start("ros2")
        channels: dict[str, int] = {}
        for said in messages:
            if said.topic not in channels:
                schema = writer.register_schema(said.type, "ros2msg", DEFINITIONS[said.type].encode())
                channels[said.topic] = writer.register_channel(said.topic, "cdr", schema)
            writer.add_message(channels[said.topic], said.log, serialized(said), said.log)
        writer.finish()
    return path


def use(source: Recording) -> None:
    """What a program does with a recording."""
    with open_source(source, size=(32, 32)) as frames:
        for frame in frames:
            assert frame.image.shape == (32, 32, 3)
