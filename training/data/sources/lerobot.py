"""LeRobot's data sets, version 3, as training data: a sample for each text of an episode's tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources.listed import Listed
from vljepa_edge.video.lerobot import choose_camera, read_info, stretches


def read_lerobot(folder: str | Path, camera: str | None = None) -> Listed:
    """A sample for each task of each episode, seen by one camera.

    camera: a video feature, as `observation.images.front`; None where there is one. Episodes without a task, and those
    whose video is not there, are counted in `left_out`.
    Raises InputError for a camera that is not there or not clear, DataError for files that are not of version 3.
    """
    folder = Path(folder)
    info = read_info(folder)
    camera = choose_camera(folder, info, camera)
    left_out: Counter[str] = Counter()
    return Listed(str(folder), _samples(folder, info, camera, left_out), left_out)


def _samples(folder: Path, info: dict[str, Any], camera: str, left_out: Counter[str]) -> Iterator[Sample]:
    for stretch in stretches(folder, info, camera):
        tasks = stretch.tasks
        left_out["episodes without a task"] += not tasks
        if tasks and not stretch.video.is_file():
            left_out["episodes without their video"] += 1
            continue
        for number, task in enumerate(tasks):
            key = f"{stretch.episode}" if len(tasks) == 1 else f"{stretch.episode}:{number + 1}"
            video = f"episode {stretch.episode}"  # a file holds many
            yield Sample(key, str(stretch.video), task, start=stretch.start, end=stretch.end, video=video)
