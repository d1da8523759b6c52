"""Sources with the frames of another."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources.listed import FileSource
from vljepa_edge.video.stretch import FramePlan


class Resaid:
    """A source with the frames of another, of whose samples something else is said."""

    def __init__(self, source: FileSource, name: str) -> None:
        self.name = name
        self.left_out = dict(source.left_out)
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def open(self, sample: Sample) -> BinaryIO:
        """As of the wrapped source."""
        return self._source.open(sample)

    def duration(self, sample: Sample) -> float:
        """As of the wrapped source."""
        return self._source.duration(sample)

    def frames(self, sample: Sample, plan: FramePlan, where: float = 0.5) -> NDArray[np.uint8]:
        """As of the wrapped source."""
        return self._source.frames(sample, plan, where)
