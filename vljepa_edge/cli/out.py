"""`vljepa stream --out`: what happens, as a file of the kind that its extension names."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vljepa_edge.cli.out_bag import BagFile
from vljepa_edge.cli.outlet import file_outlet
from vljepa_edge.cli.output import json_line, naming, reporting, warn
from vljepa_edge.cli.place import check_place
from vljepa_edge.errors import InputError, VideoWarning, redacted
from vljepa_edge.sinks.captions import Captions, Cue
from vljepa_edge.sinks.piece_file import Piece
from vljepa_edge.sinks.subtitles import subrip, webvtt
from vljepa_edge.support.arguments import shown
from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.install import require

if TYPE_CHECKING:
    from vljepa_edge.streaming.event import Event
    from vljepa_edge.streaming.reader import EventReader


class Sink(Protocol):
    """What is told of a stream while it runs. Methods raise OSError, naming the file, where it can't be written; of a
    live stream only close() does."""

    def begin(self, events: EventReader) -> None:
        """The stream that it is told of, before anything else."""

    def event(self, event: Event, line: Mapping[str, Any] | None = None, text: str | None = None) -> None:
        """Take an event. line: as --json prints it, None where it isn't printed. text: shown in place of its own."""

    def summary(self, line: Mapping[str, Any]) -> None:
        """Take the last line, after all events."""

    def close(self, *, complete: bool) -> None:
        """The stream has ended; `complete`: with the end of its source."""


def read_out(path: Path, source: str) -> Sink:
    """The sink that --out names, before anything is loaded. Nothing is written yet.

    Raises InputError for an extension that is not known, a file that can't be written and a live source that is to be
    an .mp4 file, VideoError for a file that can't, EngineError where a package is missing for it.
    """
    formats = {".vtt": webvtt, ".srt": subrip}
    kind = path.suffix.lower()
    if kind not in (*formats, ".jsonl", ".mcap", ".mp4"):
        allowed = ".vtt, .srt, .jsonl, .mcap or .mp4"
        raise InputError(f"--out must be a file that ends with {allowed}, got {shown(str(path))}")
    check_place(path, source)
    if kind == ".mp4":
        return _video_file(path, source)
    if kind == ".mcap":
        require(["mcap", "rosbags"], "ros")
        return BagFile(path)
    return JsonLinesFile(path) if kind == ".jsonl" else SubtitleFile(path, formats[kind])


class JsonLinesFile:
    """The lines of --json, each in the file as soon as it is known. What stood there goes with the first line."""

    def __init__(self, path: Path) -> None:
        self._outlet = file_outlet(path, "lines")

    def begin(self, events: EventReader) -> None:
        self._outlet.live = events.source.live

    def event(self, event: Event, line: Mapping[str, Any] | None = None, text: str | None = None) -> None:
        if line is not None:
            self._put(line)

    def summary(self, line: Mapping[str, Any]) -> None:
        self._put(line)
        self._outlet.settle()

    def close(self, *, complete: bool) -> None:
        self._outlet.close()

    def _put(self, line: Mapping[str, Any]) -> None:
        self._outlet.put(lambda: Piece(json_line(line).encode("ascii")))


class _Captioned:
    """Collects what is to be shown of a stream."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._captions = Captions()

    def begin(self, events: EventReader) -> None:
        pass

    def event(self, event: Event, line: Mapping[str, Any] | None = None, text: str | None = None) -> None:
        self._captions.add(event, text)

    def summary(self, line: Mapping[str, Any]) -> None:
        pass


class SubtitleFile(_Captioned):
    """Subtitles of all that was seen, complete after each event. What stood there goes with the first one."""

    def __init__(self, path: Path, write: Callable[[Iterable[Cue], int | None], str]) -> None:
        super().__init__(path)
        self._outlet = file_outlet(path, "updates")
        self._write = write
        self._written: int | None = None  # cues that are in the file for good

    def begin(self, events: EventReader) -> None:
        self._outlet.live = events.source.live

    def event(self, event: Event, line: Mapping[str, Any] | None = None, text: str | None = None) -> None:
        super().event(event, line, text)
        self._outlet.renew(self._piece)

    def summary(self, line: Mapping[str, Any]) -> None:
        self._outlet.settle()

    def close(self, *, complete: bool) -> None:
        if complete and not self._outlet.used:
            self._outlet.renew(self._piece)
        self._outlet.close()

    def _piece(self) -> Piece:
        settled = self._captions.settle()
        data = self._write(settled, self._written)
        self._written = (self._written or 0) + len(settled)
        return Piece(data.encode(), self._write(self._captions.cues(), self._written).encode())


class VideoFile(_Captioned):
    """The video of the source with captions in the picture, written when the stream has come to the end of its source;
    where it was ended early there is none, which is said, and what stood there stays."""

    def __init__(self, path: Path, source: str) -> None:
        super().__init__(path)
        self._source = source

    def close(self, *, complete: bool) -> None:
        from vljepa_edge.sinks.burn import burn_captions

        if not complete:
            warn(f"{self._path} was not written: the end of the source was not reached")
        else:
            with naming(self._path), replacing(self._path) as part, reporting(f"writing {self._path.name}") as report:
                burn_captions(self._source, self._captions.cues(lasting=True), part, report)


def _video_file(path: Path, source: str) -> VideoFile:
    require(["PIL"], "captions")
    from vljepa_edge.sinks.burn import check_burnable

    left_out = check_burnable(source)
    if left_out is not None:
        said = f"its sound ({left_out}) can't be copied into an .mp4 file; {path.name} will have none"
        warnings.warn(VideoWarning(f"{redacted(source)}: {said}"), stacklevel=2)
    return VideoFile(path, source)
