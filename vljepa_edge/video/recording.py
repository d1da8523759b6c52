"""Recordings that a path alone may not describe: what a description of one can do, and what it opens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from vljepa_edge.video.frame import Pictures, SourceStats


class OpenRecording(Protocol):
    """What was opened."""

    def pictures(self) -> Pictures:
        """Its frames from its beginning, second 0, to its end. Closes it at the end."""

    def close(self) -> None:
        """Give back what is held. Can be called twice."""


class Recording(ABC):
    """The description of a recording: where it is, and which part of it is meant. A source like a path; the base of
    `Bag` and `Episode`."""

    @property
    @abstractmethod
    def name(self) -> str:
        """How messages name it."""

    @abstractmethod
    def _open(self, stats: SourceStats) -> OpenRecording:
        """For open_source: open it; what is met on the way is counted in `stats`. Raises VideoError, InputError for a
        part that is not there, EngineError where a package is missing."""
