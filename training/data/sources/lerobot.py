"""LeRobot's data sets, version 3: episodes of a robot, each with the texts of its tasks.

`meta/info.json` says where videos are; `meta/episodes/**.parquet` has a row an episode with its tasks and, for each
camera, the file that holds it and the seconds from which to which. Several episodes share a file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vljepa_edge.errors import DataError, InputError
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources.listed import Listed
from vljepa_edge.training.data.sources.parquet import rows_of

INFO = "meta/info.json"
_VERSION = "v3."
_ROWS = 1024  # episodes that are in memory at once


def read_lerobot(folder: str | Path, camera: str | None = None) -> Listed:
    """A sample for each task of each episode, seen by one camera.

    camera: a video feature, as `observation.images.front`; None where there is one. Episodes without a task, and those
    whose video is not there, are counted in `left_out`.
    Raises InputError for a camera that is not there or not clear, DataError for files that are not of version 3.
    """
    folder = Path(folder)
    info = _info(folder)
    camera = _camera(folder, info, camera)
    files = sorted((folder / "meta/episodes").rglob("*.parquet"))
    if not files:
        raise DataError(folder, "has no meta/episodes/**.parquet")
    left_out: Counter[str] = Counter()
    samples = (sample for file in files for sample in _samples(folder, info["video_path"], camera, file, left_out))
    return Listed(str(folder), samples, left_out)


def _info(folder: Path) -> dict[str, Any]:
    file = folder / INFO
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(file, f"can't be read as JSON ({error})") from error
    version = info.get("codebase_version") if isinstance(info, dict) else None
    if not isinstance(version, str) or not version.startswith(_VERSION):
        raise DataError(file, f"codebase_version must be v3.x, got {version!r}; LeRobot converts older data sets")
    if not isinstance(info.get("video_path"), str) or not isinstance(info.get("features"), dict):
        raise DataError(file, "must have the text video_path and the object features")
    return dict(info)


def _camera(folder: Path, info: dict[str, Any], camera: str | None) -> str:
    cameras = [
        name for name, feature in info["features"].items()
        if isinstance(feature, dict) and feature.get("dtype") == "video"
    ]  # fmt: skip
    if camera is None and len(cameras) == 1:
        return str(cameras[0])
    if camera is None or camera not in cameras:
        wanted = "must be chosen" if camera is None else f"can't be {camera!r}"
        raise InputError(f"{folder}: the camera {wanted}; there are: {', '.join(cameras) or 'none'}")
    return camera


def _samples(folder: Path, pattern: str, camera: str, file: Path, left_out: Counter[str]) -> Iterator[Sample]:
    columns = {name: f"videos/{camera}/{name}" for name in ("chunk_index", "file_index")}
    columns |= {name: f"videos/{camera}/{name}_timestamp" for name in ("from", "to")}
    columns |= {"episode": "episode_index", "tasks": "tasks"}
    for place, row in rows_of(file, list(columns.values()), _ROWS):
        values = {name: row[column] for name, column in columns.items()}
        try:
            start, end = float(values["from"]), float(values["to"])
            video = folder / pattern.format(
                video_key=camera, chunk_index=int(values["chunk_index"]), file_index=int(values["file_index"])
            )
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise DataError(file, f"doesn't say which part of which video it is ({error})", place) from error
        if not 0 <= start < end:
            raise DataError(file, f"must end after it starts, got {start:g} to {end:g} s", place)
        tasks = [task.strip() for task in values["tasks"] or () if isinstance(task, str) and task.strip()]
        left_out["episodes without a task"] += not tasks
        if tasks and not video.is_file():
            left_out["episodes without their video"] += 1
            continue
        for number, task in enumerate(tasks):
            key = f"{values['episode']}" if len(tasks) == 1 else f"{values['episode']}:{number + 1}"
            yield Sample(key, str(video), task, start=start, end=end)
