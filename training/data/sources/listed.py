"""A source whose samples are files: what most data sets come down to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import DataError
from vljepa_edge.training.data.frames import read_frames
from vljepa_edge.training.data.rows import Rows
from vljepa_edge.training.data.sample import FramePlan, Sample


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
