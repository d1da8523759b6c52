"""What each source of training data gives: the triplet <X_V, X_Q, Y> (section 3 of the paper), and its frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.video.stretch import FramePlan


@dataclass(frozen=True)
class Sample:
    """A stretch of a video (or an image), a query and the text that answers it.

    key: names the sample within its source, the same in every run. media: the file, or `archive::member`.
    start, end: seconds; None is the beginning or the end of the video. query: "" in the query-free first stage.
    text_key: samples of equal text keys are no negatives of each other; None: the target itself.
    also: more text keys that are right for this video. negatives: texts that are wrong for it. video: names the
    recording where media is not one: where it holds several, or is a part that was cut out of one.
    """

    key: str
    media: str
    target: str
    query: str = ""
    start: float | None = None
    end: float | None = None
    text_key: str | None = None
    also: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    video: str | None = None


class Source(Protocol):
    """A list of samples that can open their videos. Samples are cheap to get; no video is opened for one."""

    name: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def frames(self, sample: Sample, plan: FramePlan, where: float = 0.5) -> NDArray[np.uint8]:
        """uint8 RGB (count, height, width, 3). where: in [0, 1), which stretch of count / rate seconds is taken.

        Raises VideoError or FrameError for a video that can't be read.
        """
        ...


@runtime_checkable
class Varied(Protocol):
    """A source that changes a sample's cached features and its texts together, such as left for right in both."""

    def varied(
        self, sample: Sample, features: Mapping[str, NDArray[Any]], draw: int
    ) -> tuple[Sample, Mapping[str, NDArray[Any]]]:
        """The sample as one step sees it. draw: 64 random bits. Features are not changed in place."""
        ...
