"""What a benchmark's adapter yields: what is to be looked at, what is asked, and what is right.

Times are seconds. A task is a complete evaluation set of one protocol; its `items` may be cut down (see `selection`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True)
class Media:
    """A video or image, or a stretch of a video: from `start` up to `end`; None: from its beginning, to its end.

    `path` may name a file that is not there: what lacks is counted, and left out of the figures.
    """

    path: Path
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class Change:
    """Two states of the world, an image each: shown one after the other as one clip (paper, section 4.3)."""

    before: Media
    after: Media


Seen: TypeAlias = Media | Change


def media_of(seen: Seen) -> tuple[Media, ...]:
    """What must be read to see it."""
    return (seen.before, seen.after) if isinstance(seen, Change) else (seen,)


@dataclass(frozen=True)
class Labelled:
    """A clip and the number of its class. group: the part of the benchmark that it counts for, "" for none."""

    media: Media
    label: int
    group: str = ""

    def seen(self) -> tuple[Media, ...]:
        """All that must be there to evaluate it."""
        return (self.media,)


@dataclass(frozen=True)
class Classification:
    """Which of the classes a clip shows. labels: for each class the texts that stand for it, one or more.

    query: what the predictor is asked; None: the model's default.
    """

    labels: tuple[tuple[str, ...], ...]
    items: tuple[Labelled, ...]
    query: str | None = None


@dataclass(frozen=True)
class Anticipation:
    """Which of the classes comes some seconds after a clip. The groups of its items are those seconds."""

    labels: tuple[tuple[str, ...], ...]
    items: tuple[Labelled, ...]
    query: str | None = None


@dataclass(frozen=True)
class Described:
    """A video or clip and what people say of it. Each text is a query of its own in retrieval, a reference in
    captioning."""

    media: Media
    texts: tuple[str, ...]

    def seen(self) -> tuple[Media, ...]:
        return (self.media,)


@dataclass(frozen=True)
class Retrieval:
    """Which video a text is of. Equal texts share their videos: any of them is right."""

    items: tuple[Described, ...]
    query: str | None = None


@dataclass(frozen=True)
class Captioning:
    """What the decoded text has in common with the references."""

    items: tuple[Described, ...]
    query: str | None = None


@dataclass(frozen=True)
class Question:
    """A question about an image or video, and candidate answers; answer: the number of the right one."""

    media: Media
    text: str
    candidates: tuple[str, ...]
    answer: int
    group: str = ""

    def seen(self) -> tuple[Media, ...]:
        return (self.media,)


@dataclass(frozen=True)
class Questions:
    """Discriminative VQA (paper, section 4.2)."""

    items: tuple[Question, ...]


@dataclass(frozen=True)
class Transition:
    """Which of the candidate clips leads from one state to the other; right: its number."""

    change: Change
    candidates: tuple[Media, ...]
    right: int
    group: str = ""

    def seen(self) -> tuple[Media, ...]:
        return (self.change.before, self.change.after, *self.candidates)


@dataclass(frozen=True)
class Transitions:
    """Inverse dynamics (paper, section 4.3). query: for the candidate clips; the states have the model's own."""

    items: tuple[Transition, ...]
    query: str | None = None


@dataclass(frozen=True)
class Triplet:
    """Two texts that say the same, and one that is almost the first but says something else."""

    first: str
    second: str
    negative: str
    group: str = ""

    @property
    def texts(self) -> tuple[str, str, str]:
        """All three, the negative last."""
        return (self.first, self.second, self.negative)

    def seen(self) -> tuple[Media, ...]:
        return ()


@dataclass(frozen=True)
class Triplets:
    """Text hard negatives (paper, section 4.7): no video takes part."""

    items: tuple[Triplet, ...]


Task: TypeAlias = Classification | Anticipation | Retrieval | Captioning | Questions | Transitions | Triplets
