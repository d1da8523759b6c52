"""A source whose samples are files: what most data sets come down to; and what all sources of files can do."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import DataError, VideoError
from vljepa_edge.training.data.rows import Rows
from vljepa_edge.training.data.sample import Sample, Source
from vljepa_edge.video.stretch import FramePlan, duration_of, read_frames

_MOST_ALSO = 16  # more texts that are right for one stretch: a long list costs every batch a column


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
    """Samples that name a file as their `media`. left_out: how many things gave no sample, by the reason.

    Samples with the same stretch of the same file and the same query are right for each other: two captions of one
    photograph are no negatives of each other.
    """

    def __init__(self, name: str, samples: Iterable[Sample], left_out: Mapping[str, int] | None = None) -> None:
        """left_out: may be counted while the samples are read. Raises DataError where there is no sample."""
        self.name = name
        stretches = array("q")  # of each sample, a number that names it in this process
        self._rows = Rows(_noted(samples, stretches))
        numbers = np.array(stretches, np.int64)
        self._order = np.argsort(numbers, kind="stable")
        self._stretches = numbers[self._order]
        self._place = np.argsort(self._order)
        self.left_out = {what: count for what, count in (left_out or {}).items() if count}
        if not len(self._rows):
            counted = "; ".join(f"{count} {what}" for what, count in self.left_out.items())
            raise DataError(name, f"there are no samples in it{f' ({counted})' if counted else ''}")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        sample = self._rows[index]
        stretch = self._stretches[self._place[index]]
        begin, end = np.searchsorted(self._stretches, stretch), np.searchsorted(self._stretches, stretch, "right")
        if end - begin < 2:
            return sample
        own = self._rows.text_key(index)
        keys = dict.fromkeys(sample.also)
        keys |= dict.fromkeys(map(self._rows.text_key, self._order[begin : min(end, begin + _MOST_ALSO + 1)].tolist()))
        return replace(sample, also=tuple(key for key in keys if key != own)[:_MOST_ALSO])

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


def _noted(samples: Iterable[Sample], stretches: array[int]) -> Iterator[Sample]:
    for sample in samples:
        stretches.append(hash((sample.media, sample.start, sample.end, sample.query)))
        yield sample
