"""LeRobot's data sets, version 3: episodes of a robot, seen by its cameras.

`meta/info.json` says where videos are; `meta/episodes/**.parquet` has a row an episode with its tasks and, for each
camera, the file that holds it and the seconds from which to which. Several episodes share a file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vljepa_edge._core import ROUNDING
from vljepa_edge.errors import DataError, InputError, VideoError, redacted
from vljepa_edge.support.arguments import as_path, as_text, as_whole
from vljepa_edge.support.install import require
from vljepa_edge.video.decoder import Decoder
from vljepa_edge.video.frame import Pictures, SourceStats
from vljepa_edge.video.recorded import open_file
from vljepa_edge.video.recording import Recording
from vljepa_edge.video.timing import Timeline, without_wild

INFO = "meta/info.json"
_VERSION = "v3."
_ROWS = 1024  # episodes that are in memory at once


class Stretch(NamedTuple):
    """Where one camera saw an episode: from `start` up to `end`, seconds of the file `video`."""

    episode: int
    tasks: tuple[str, ...]
    video: Path
    start: float
    end: float


@dataclass(frozen=True)
class Episode(Recording):
    """An episode of a LeRobot data set, as a source: `model.stream(Episode("pusht", 3))`. Second 0 is its first frame.

    dataset: the folder that holds `meta/info.json`; version 3 of the format
    episode: counts from 0
    camera: a video feature, as `observation.images.front`; None where there is one
    """

    dataset: str | os.PathLike[str]
    episode: int
    camera: str | None = None

    def __post_init__(self) -> None:
        as_path(self.dataset, "the path of a data set")
        as_whole(self.episode, "episode", 0)
        if self.camera is not None:
            as_text(self.camera, "camera")

    @property
    def name(self) -> str:
        return f"{redacted(os.fspath(self.dataset))}, episode {self.episode}"

    def _open(self, stats: SourceStats) -> OpenEpisode:
        require(["pyarrow"], "lerobot")
        folder = Path(self.dataset)
        info = read_info(folder)
        camera = choose_camera(folder, info, self.camera)
        count = 0
        for stretch in stretches(folder, info, camera):
            if stretch.episode == self.episode:
                return OpenEpisode(self.name, stretch, stats)
            count += 1
        raise InputError(f"{folder} has no episode {self.episode}; it has {count}")


class OpenEpisode:
    """One open episode."""

    def __init__(self, name: str, stretch: Stretch, stats: SourceStats) -> None:
        self._length = stretch.end - stretch.start
        self._stats = stats
        file = open_file(str(stretch.video), stats)
        if not isinstance(file, Decoder):
            file.close()
            raise VideoError(name, f"{stretch.video} must be a video")
        self._file = file
        self._begin = stretch.start + (file.start or 0.0)
        if stretch.start > 0:
            file.seek(stretch.start)

    def close(self) -> None:
        self._file.close()

    def pictures(self) -> Pictures:
        """Its frames, up to where the next episode begins."""
        interval = self._file.interval
        timeline = Timeline(self._stats, interval, self._begin)
        reached = 0.0
        try:
            for frame, stamp in without_wild(self._file):
                time = timeline.place(stamp)
                if time is None or time < -ROUNDING:
                    continue
                if time > self._length - ROUNDING:
                    return
                reached = time + interval
                yield self._file.picture(frame, max(0.0, time))
            missing = self._length - reached
            self._stats.missing = missing if missing > max(0.5, 3 * interval) else 0.0
        finally:
            self.close()


def read_info(folder: Path) -> dict[str, Any]:
    """What meta/info.json says. Raises DataError where it can't be read, or is of another version."""
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


def choose_camera(folder: Path, info: dict[str, Any], camera: str | None) -> str:
    """The feature that is meant. Raises InputError for one that is not there or not clear, with those that are."""
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


def stretches(folder: Path, info: dict[str, Any], camera: str) -> Iterator[Stretch]:
    """Where the camera saw each episode; its file may not be there. Raises DataError for tables that can't be used."""
    from vljepa_edge.support.parquet import rows_of

    files = sorted((folder / "meta/episodes").rglob("*.parquet"))
    if not files:
        raise DataError(folder, "has no meta/episodes/**.parquet")
    columns = {name: f"videos/{camera}/{name}" for name in ("chunk_index", "file_index")}
    columns |= {name: f"videos/{camera}/{name}_timestamp" for name in ("from", "to")}
    columns |= {"episode": "episode_index", "tasks": "tasks"}
    for file in files:
        for place, row in rows_of(file, list(columns.values()), _ROWS):
            values = {name: row[column] for name, column in columns.items()}
            try:
                start, end, episode = float(values["from"]), float(values["to"]), int(values["episode"])
                video = folder / info["video_path"].format(
                    video_key=camera, chunk_index=int(values["chunk_index"]), file_index=int(values["file_index"])
                )
            except (TypeError, ValueError, LookupError, AttributeError) as error:
                raise DataError(file, f"doesn't say which part of which video it is ({error})", place) from error
            if not 0 <= start < end:
                raise DataError(file, f"must end after it starts, got {start:g} to {end:g} s", place)
            tasks = tuple(t.strip() for t in values["tasks"] or () if isinstance(t, str) and t.strip())
            yield Stretch(episode, tasks, video, start, end)
