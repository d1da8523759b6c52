"""A source without its queries, for the query-free first stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.training.data.sample import Sample, Source, Varied
from vljepa_edge.video.stretch import FramePlan


class Unasked:
    """The samples of `source`, with the empty query."""

    def __init__(self, source: Source) -> None:
        self.name, self._source = source.name, source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Sample:
        return replace(self._source[index], query="")

    def frames(self, sample: Sample, plan: FramePlan, where: float = 0.5) -> NDArray[np.uint8]:
        """As of the source."""
        return self._source.frames(sample, plan, where)

    def varied(
        self, sample: Sample, features: Mapping[str, NDArray[Any]], draw: int
    ) -> tuple[Sample, Mapping[str, NDArray[Any]]]:
        """As of the source, where it varies its samples."""
        if not isinstance(self._source, Varied):
            return sample, features
        sample, features = self._source.varied(sample, features, draw)
        return replace(sample, query=""), features
