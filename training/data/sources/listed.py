"""A source whose samples are files: what most data sets come down to; and what all sources of files can do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import DataError, VideoError
from vljepa_edge.training.data.frames import duration_of, read_frames
from vljepa_edge.training.data.rows import Rows
from vljepa_edge.training.data.sample import FramePlan, Sample, Source


class FileSource(Source, Protocol):
    """A source whose samples are files or parts of them. left_out: what made no sample, counted by the reason."""

    left_out: dict[str, int]

    def open(self, sample: Sample) -> BinaryIO:
        """The video or image as a file that can seek. Raises VideoError."""
        ...

    def duration(self, sample: Sample) -> float:
        """Seconds of the complete video. Raises VideoError."""
        ...


class Listed:
    """Samples that name a file as their `media`. left_out: how many things gave no sample, by the reason."""

    def __init__(self, name: str, samples: Iterable[Sample], left_out: Mapping[str, int] | None = None) -> None:
        """left_out: may be counted while the samples are read. Raises DataError where there is no sample."""
        self.name = name
        self._rows = Rows(samples)
        self.left_out = {what: count for what, count in (left_out or {}).items() if count}
        if not len(self._rows):
            counted = "; ".join(f"{count} {what}" for what, count in self.left_out.items())
            raise DataError(name, f"there are no samples in it{f' ({counted})' if counted else ''}")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        return self._rows[index]

    def frames(self, sample: Sample, plan: FramePlan, where: float = 0.5) -> NDArray[np.uint8]:
        """uint8 RGB (count, height, width, 3); see `read_frames`. Raises VideoError."""
        return read_frames(sample.media, plan, sample.start, sample.end, where)

    def open(self, sample: Sample) -> BinaryIO:
        """The file of a sample. Raises VideoError."""
        try:
            return open(sample.media, "rb")
        except OSError as error:
            raise VideoError(sample.media, f"can't be opened ({error.strerror})") from error

    def duration(self, sample: Sample) -> float:
        """Seconds of the complete video. Raises VideoError."""
        return duration_of(sample.media)
