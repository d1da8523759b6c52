"""Samples of a source by the photograph that they show, and sources whose samples are made from all its captions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.training.data.rows import Rows
from vljepa_edge.training.data.sample import Sample, Source
from vljepa_edge.training.data.sources.listed import FileSource
from vljepa_edge.training.data.sources.resaid import Resaid


class Photographs:
    """Which samples of a source show the same stretch of the same medium."""

    def __init__(self, source: Source) -> None:
        self._source = source
        numbers: dict[tuple[str, float | None, float | None], int] = {}
        of = np.empty(len(source), np.int64)
        for index in range(len(source)):
            sample = source[index]
            of[index] = numbers.setdefault((sample.media, sample.start, sample.end), len(numbers))
        self.order: NDArray[np.int64] = np.argsort(of, kind="stable")
        """Of all samples the index, those of one photograph after each other."""
        self._begins = np.searchsorted(of[self.order], np.arange(len(numbers) + 1))

    def __len__(self) -> int:
        """How many photographs there are."""
        return len(self._begins) - 1

    def samples(self, photograph: int) -> list[tuple[int, Sample]]:
        """The samples of a photograph, by its number, with their indices."""
        indices = self.order[self._begins[photograph] : self._begins[photograph + 1]].tolist()
        return [(index, self._source[index]) for index in indices]


class Remade(Resaid):
    """A source whose samples are made from those of each photograph, once. They lie in a file without a name, which
    workers share."""

    def __init__(self, source: FileSource, name: str) -> None:
        super().__init__(source, name)
        self._rows: Rows | None = None

    def _make(
        self, photographs: Photographs, make: Callable[[int, Sample, tuple[str, ...]], Sample]
    ) -> None:  # fmt: skip
        """make: from an index, its sample and all captions of the photograph to the sample that is given."""

        def made() -> Iterator[Sample]:
            for photograph in range(len(photographs)):
                samples = photographs.samples(photograph)
                captions = captions_of(samples)
                for index, sample in samples:
                    yield make(index, sample, captions)

        self._rows = Rows(made())
        self._place = np.argsort(photographs.order)

    def __getitem__(self, index: int) -> Sample:
        if self._rows is None or not 0 <= index < len(self._place):
            raise IndexError(f"no sample {index} in {len(self)}")
        return self._rows[int(self._place[index])]


def captions_of(samples: Sequence[tuple[int, Sample]]) -> tuple[str, ...]:
    """The texts of some samples, each once."""
    return tuple(dict.fromkeys(sample.target for _, sample in samples))


def key_of(sample: Sample) -> str:
    """What a sample's text is known by: samples of equal keys are no negatives of each other."""
    return sample.target if sample.text_key is None else sample.text_key
