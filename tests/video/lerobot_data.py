"""Writes small data sets as LeRobot's version 3 lays them out. A frame shows its number, counted over the data set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.media import flat, write_video

CAMERAS = ("observation.images.top", "observation.images.wrist")


def write_dataset(
    folder: Path, lengths: Sequence[int], *, cameras: Sequence[str] = CAMERAS, rate: int = 10, per_file: int = 3
) -> Path:
    """Episodes of so many frames, `per_file` in each video, whose key frames don't lie where episodes begin. The frames
    of the second camera count from 100. Returns `folder`."""
    info = {
        "codebase_version": "v3.0",
        "fps": rate,
        "total_episodes": len(lengths),
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": {name: {"dtype": "video", "shape": [48, 64, 3], "names": None} for name in cameras}
        | {"action": {"dtype": "float32", "shape": [6], "names": None}},
    }
    (folder / "meta/episodes/chunk-000").mkdir(parents=True)
    (folder / "meta/info.json").write_text(json.dumps(info))
    rows = []
    for episode, length in enumerate(lengths):
        before = sum(lengths[episode // per_file * per_file : episode])
        row = {"episode_index": episode, "tasks": [f"task {episode}"], "length": length}
        for name in cameras:
            row |= {
                f"videos/{name}/chunk_index": 0,
                f"videos/{name}/file_index": episode // per_file,
                f"videos/{name}/from_timestamp": before / rate,
                f"videos/{name}/to_timestamp": (before + length) / rate,
            }
        rows.append(row)
    half = len(rows) // 2
    for number, part in enumerate((rows[:half], rows[half:])):
        pq.write_table(pa.Table.from_pylist(part), folder / f"meta/episodes/chunk-000/file-{number:03d}.parquet")
    for camera, name in enumerate(cameras):
        place = folder / "videos" / name / "chunk-000"
        place.mkdir(parents=True)
        for file in range(-(-len(lengths) // per_file)):
            first, last = sum(lengths[: file * per_file]), sum(lengths[: (file + 1) * per_file])
            images = [flat(number + 100 * camera) for number in range(first, last)]
            write_video(place / f"file-{file:03d}.mp4", images, fps=rate, options={"g": "7", "bf": "2"})
    return folder
