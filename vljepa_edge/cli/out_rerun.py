"""`vljepa stream --rerun`: what is seen and said, in a file of Rerun or in its viewer."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vljepa_edge.cli.output import naming
from vljepa_edge.cli.place import check_place
from vljepa_edge.errors import InputError
from vljepa_edge.support.arguments import shown
from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.install import require

if TYPE_CHECKING:
    from rerun import RecordingStream

    from vljepa_edge.sinks.rerun_log import RerunLog
    from vljepa_edge.streaming.event import Event
    from vljepa_edge.streaming.reader import EventReader
    from vljepa_edge.video.frame import Frame

_VIEWER = "viewer"
_ADDRESSES = ("rerun+http://", "rerun+https://", "rerun://")
_APPLICATION = "vljepa"
_PATIENCE = 10.0  # seconds for a viewer to take what waits

RerunTarget = Annotated[
    str | None,
    typer.Option(
        "--rerun", metavar="TARGET", help="Show it in Rerun: an .rrd file, `viewer`, or a rerun+http:// address."
    ),
]


def read_rerun(target: str | None, source: str) -> RerunSink | None:
    """The sink that --rerun names, before anything is loaded. Nothing is written yet.

    Raises InputError for what is no target and a file that can't be written, EngineError where Rerun is missing.
    """
    if target is None:
        return None
    if target != _VIEWER and not target.startswith(_ADDRESSES):
        if Path(target).suffix.lower() != ".rrd":
            allowed = "a file that ends with .rrd, viewer, or a rerun+http:// address"
            raise InputError(f"--rerun must be {allowed}, got {shown(target)}")
        check_place(Path(target), source, "--rerun")
    require(["rerun"], "rerun")
    return RerunSink(target)


class RerunSink:
    """A recording of a stream. A file takes its place when the stream ends, however it does; where that ends before
    anything was seen, what stood there stays."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._place = ExitStack()
        self._recording: RecordingStream | None = None
        self._log: RerunLog | None = None
        self._lock = threading.Lock()
        self._early: list[tuple[float, bytes]] = []  # pictures from before the stream: a source is opened first
        self._seen = False

    def begin(self, events: EventReader) -> None:
        """Open the target, and listen to the hops of a stream."""
        stream = events.stream

        log = self._open()

        def on_hop(time: float, _: object, query: str) -> None:
            threshold = getattr(stream.policy, "threshold", None)
            log.hop(time, query, stream.changes.get(query, 0.0), threshold)

        stream.subscribe(on_hop)
        with self._lock:
            self._log = log
            for time, jpeg in self._early:
                log.picture(time, jpeg)
            self._early.clear()

    def see(self, frame: Frame) -> None:
        """Take a frame."""
        from vljepa_edge.serve.pictures import encode_jpeg, shrink

        jpeg = encode_jpeg(shrink(frame.image))
        with self._lock:
            self._seen = True
            if self._log is None:
                self._early.append((frame.time, jpeg))
            else:
                self._log.picture(frame.time, jpeg)

    def event(self, event: Event, line: Mapping[str, Any] | None = None, text: str | None = None) -> None:
        """Take an event."""
        if line is not None and self._log is not None:
            self._log.event(event, text)

    def summary(self, line: Mapping[str, Any]) -> None:
        """Nothing of it is shown."""

    def close(self, *, complete: bool) -> None:
        """Send what waits, and put a file in its place; also one that a full disk cut off."""
        if self._recording is None:
            return
        with naming(Path(self._target)):
            try:
                with _failures("it did not take all that was sent"):
                    self._recording.flush(timeout_sec=_PATIENCE)
                self._recording.disconnect()  # not after an error: it may wait for ever
            finally:
                if complete or self._seen:
                    self._place.close()
                else:
                    nothing = InputError("nothing was seen")
                    self._place.__exit__(type(nothing), nothing, None)  # leaves what stood there

    def _open(self) -> RerunLog:
        from rerun import RecordingStream

        from vljepa_edge.sinks.rerun_log import RerunLog

        self._recording = RecordingStream(_APPLICATION)
        with naming(Path(self._target)), _failures("it can't be opened"):
            if self._target == _VIEWER:
                self._recording.spawn()
            elif self._target.startswith(_ADDRESSES):
                self._recording.connect_grpc(self._target)
            else:
                self._recording.save(self._place.enter_context(replacing(Path(self._target))))
        return RerunLog(self._recording)


@contextmanager
def _failures(what: str) -> Iterator[None]:
    """What Rerun raises in it, of whatever type, is an OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(errno.EIO, f"{what} ({error})") from error
