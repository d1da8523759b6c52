"""Clips of taught events: what they are, and the features of their windows."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import FrameError, InputError, VideoError, redacted
from vljepa_edge.support.arguments import as_list, as_number, shown

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception
    from vljepa_edge.video.source import SourceLike

Report = Callable[[int, int], object]


@dataclass(frozen=True)
class Clip:
    """A stretch of a source: from `start` up to `end`, seconds on its clock; None: from its first, to its last frame.

    name: what messages call it; None: the path of its source.

    Raises InputError for times that are none, or an end that is not after the start.
    """

    source: SourceLike
    start: float | None = None
    end: float | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None:
                seconds = as_number(value, name, " of seconds, or None")
                if not math.isfinite(seconds):
                    raise InputError(f"{name} must be a number of seconds, or None, got {shown(value)}")
                object.__setattr__(self, name, seconds)
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise InputError(f"end must be after start, {self.start:g} s, got {self.end:g} s")

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its source."""
        return self.start is None and self.end is None

    def holds(self, time: float) -> bool:
        """Whether a frame at `time` is in it."""
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)


class Example(NamedTuple):
    """A clip of one label. `video` is the same for clips of one source."""

    label: int
    name: str
    video: object
    clip: Clip


def as_examples(clips: object) -> tuple[tuple[str, ...], list[Example]]:
    """The labels and the clips of a mapping from label to clips. Raises InputError for what is none."""
    if not isinstance(clips, Mapping) or not clips:
        raise InputError(f"clips must be a mapping from each label to a list of clips, got {shown(clips)}")
    examples: list[Example] = []
    for number, (label, given) in enumerate(clips.items()):
        if not isinstance(label, str):
            raise InputError(f"each of the labels must be a text, got {shown(label)}")
        if isinstance(given, np.ndarray):
            raise InputError(f"the clips of {shown(label)} must be a list of sources, not one array; write [array]")
        for place, source in enumerate(as_list(given, f"the clips of {shown(label)}", "sources")):
            clip = source if isinstance(source, Clip) else Clip(source)
            path = _path(clip.source)
            name = clip.name or (f"clip {place + 1} of {label!r}" if path is None else redacted(path))
            video = id(clip.source) if path is None else os.path.abspath(path)
            examples.append(Example(number, f"{name}{_span(clip)}", video, clip))
    return tuple(clips), examples


def _span(clip: Clip) -> str:
    if clip.is_whole:
        return ""
    return f" [{clip.start or 0:g} - {'end' if clip.end is None else f'{clip.end:g}'} s]"


def read_rows(
    model: Perception, examples: list[Example], report: Report | None
) -> Iterator[tuple[int, NDArray[np.float32] | VideoError | FrameError]]:
    """Of each example, in no fixed order, its number and the features [N, F] of its windows, or what is wrong with it.

    A window ends at each frame of the clip from the first full one on, as `Model.features(full=True)` has them. A clip
    that is shorter gives one, filled with its first frame. A source of several clips is read once.
    """
    videos: dict[object, list[int]] = {}
    for number, example in enumerate(examples):
        videos.setdefault(example.video, []).append(number)
    done = 0
    for numbers in videos.values():
        clips = [examples[number].clip for number in numbers]
        for place, found in _of_source(model, clips):
            done += 1
            if report is not None:
                report(done, len(examples))
            yield numbers[place], found


def _of_source(
    model: Perception, clips: list[Clip]
) -> Iterator[tuple[int, NDArray[np.float32] | VideoError | FrameError]]:
    whole = [place for place, clip in enumerate(clips) if clip.is_whole]
    parts = {place: clip for place, clip in enumerate(clips) if not clip.is_whole}
    if whole:
        found = _features(model, clips[whole[0]].source)
        yield from ((place, found) for place in whole)
    if not parts:
        return
    kept: dict[int, list[tuple[NDArray[np.uint8], float]]] = {place: [] for place in parts}
    source = next(iter(parts.values())).source
    try:
        with model.open(source) as frames:
            for image, time in frames:
                for place, clip in parts.items():
                    if place in kept and clip.holds(time):
                        kept[place].append((image, time))
                over = [place for place in kept if (end := parts[place].end) is not None and time >= end]
                for place in over:
                    yield place, _stretch(model, parts[place], kept.pop(place))
                if not kept:
                    return
    except (VideoError, FrameError) as error:
        yield from ((place, error) for place in kept)
        return
    for place, stretch in kept.items():
        yield place, _stretch(model, parts[place], stretch)


def _stretch(
    model: Perception, clip: Clip, frames: list[tuple[NDArray[np.uint8], float]]
) -> NDArray[np.float32] | VideoError | FrameError:
    if not frames:
        return VideoError(_path(clip.source) or "a clip", f"no frame lies in it{_span(clip)}")
    return _features(model, frames)


def _features(model: Perception, source: Any) -> NDArray[np.float32] | VideoError | FrameError:
    try:
        return model.features(source, hop=1, full=True)[1]
    except (VideoError, FrameError) as error:
        return error


def _path(source: object) -> str | None:
    """What names a source, if anything does."""
    return str(os.fspath(source)) if isinstance(source, str | os.PathLike) else None


def spread_out(rows: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """At most so many of the rows, evenly apart, the first and the last among them."""
    if len(rows) <= most:
        return rows
    chosen = np.linspace(0, len(rows) - 1, most).round().astype(int) if most > 1 else [len(rows) // 2]
    found: NDArray[np.float32] = rows[chosen]
    return found


def listed(values: Iterable[str], most: int = 3) -> str:
    """A few names for a message."""
    names = list(values)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
