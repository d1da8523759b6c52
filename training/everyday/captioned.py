"""Photographs and clips with the texts that people wrote, as answers to questions for a caption."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.data.sources.resaid import Resaid
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES

_ASKED_SHARE = 0.8
"""Of captions: with a query. The rest have none, as in the query-free first stage."""


class Captioned(Resaid):
    """The samples of another source (its spec: `of`), each asked for by one of CAPTION_QUERIES or by no query at all.

    Which one changes from step to step where a stage reads cached features.
    """

    def __init__(self, of: Any) -> None:
        source = open_source(of)
        super().__init__(source, source.name)

    def __getitem__(self, index: int) -> Sample:
        return replace(self._source[index], query=CAPTION_QUERIES[0])

    def varied(
        self, sample: Sample, features: Mapping[str, NDArray[Any]], draw: int
    ) -> tuple[Sample, Mapping[str, NDArray[Any]]]:
        """Asked as one step asks. draw: 64 random bits."""
        rng = random.Random(draw)
        return replace(sample, query=rng.choice(CAPTION_QUERIES) if rng.random() < _ASKED_SHARE else ""), features
