"""Action anticipation: the text that will hold some seconds after what is seen (section 4.2 of the paper)."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import DataError, InputError
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources.listed import FileSource
from vljepa_edge.training.data.sources.resaid import Resaid


class Future(Resaid):
    """A source whose targets are those of the same recording at the end of each stretch plus `delta` seconds.

    Where several stretches cover that time the shortest counts, the first of equal ones. Samples without an end, and
    those after which no text holds, are left out; `left_out` counts them.
    """

    def __init__(self, source: FileSource, delta: float) -> None:
        """Raises InputError for a delta below 0, DataError when no sample has a future."""
        if not (math.isfinite(delta) and delta >= 0):
            raise InputError(f"delta must be seconds, 0 or more, got {delta}")
        super().__init__(source, f"{source.name} + {delta:g} s")
        self._delta = delta
        self._seen, self._then = _pairs(source, delta)
        self.left_out = {"samples without a future": len(source) - len(self._seen)}
        if not len(self._seen):
            raise DataError(source.name, f"no sample has a text that holds {delta:g} s after its end")

    def __len__(self) -> int:
        return len(self._seen)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"no sample {index} in {len(self)}")
        seen, then = self._source[int(self._seen[index])], self._source[int(self._then[index])]
        return replace(
            seen,
            key=f"{seen.key}+{self._delta:g}",
            target=then.target,
            text_key=then.text_key,
            also=then.also,
            negatives=then.negatives,
        )


def _pairs(source: FileSource, delta: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of samples that have a future, and of the samples whose text it is."""
    recordings: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    starts, ends = np.zeros(len(source)), np.full(len(source), np.inf)
    for index in range(len(source)):
        sample = source[index]
        recordings[sample.media, sample.video].append(index)
        starts[index] = sample.start or 0.0
        ends[index] = np.inf if sample.end is None else sample.end
    then = np.full(len(source), -1)
    for indices in recordings.values():
        members = np.array(indices)
        order = members[np.argsort((ends - starts)[members], kind="stable")]
        for index in members[np.isfinite(ends[members])]:
            time = ends[index] + delta
            holding = order[(starts[order] <= time) & (time < ends[order])]
            if len(holding):
                then[index] = holding[0]
    seen = np.flatnonzero(then >= 0)
    return seen, then[seen]
