"""Small drawn videos whose colour says what they are of, for trainings that take seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.media import write_video
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.video.stretch import FramePlan, read_frames

COLOURS = {"a red ball": (200, 40, 40), "a green box": (40, 190, 40), "a blue cup": (40, 40, 200)}


class Table:
    """Samples of files on disk."""

    name = "clips"

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def frames(self, sample: Sample, plan: FramePlan, where: float = 0.5) -> np.ndarray:
        return read_frames(sample.media, plan, sample.start, sample.end, where)


def draw(folder: Path, count: int, seconds: float = 2.0) -> list[Sample]:
    """`count` videos, one of each colour in turn: a shade of it, brighter and darker over time, with noise."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    made = []
    for number in range(count):
        text, colour = list(COLOURS.items())[number % len(COLOURS)]
        shade = np.clip(np.array(colour) + rng.normal(0, 25, 3), 0, 255)
        frames = [
            np.clip(shade + 20 * np.sin(time) + rng.normal(0, 10, (32, 32, 3)), 0, 255).astype(np.uint8)
            for time in range(round(5 * seconds))
        ]
        path = write_video(folder / f"{number}.mp4", frames, fps=5)
        made.append(Sample(str(number), str(path), text))
    return made
