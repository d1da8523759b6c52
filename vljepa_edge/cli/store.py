"""`--store`: events are kept on disk, with their pictures and embeddings."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vljepa_edge.errors import InputError
from vljepa_edge.support.amounts import seconds, size

if TYPE_CHECKING:
    from vljepa_edge.bundle.manifest import VideoEntry
    from vljepa_edge.perception.perception import Perception
    from vljepa_edge.store.clips import Clip
    from vljepa_edge.store.keep import Keep
    from vljepa_edge.store.recorder import Around
    from vljepa_edge.store.store import EventStore
    from vljepa_edge.streaming.event import Event
    from vljepa_edge.streaming.reader import EventReader
    from vljepa_edge.video.frame import Frame
    from vljepa_edge.video.packets import PacketRing

_ALL = "all"

StoreFolder = Annotated[
    Path | None,
    typer.Option("--store", metavar="FOLDER", help="Keep events here, with pictures, for `vljepa search`."),
]
KeepAge = Annotated[
    str | None,
    typer.Option(
        "--keep",
        metavar="TIME",
        help="How long a store keeps what was seen, as 12h or 30d; `all`: for ever.",
        show_default="7d",
    ),
]
KeepSize = Annotated[
    str | None,
    typer.Option(
        "--keep-size",
        metavar="SIZE",
        help="How much it keeps, as 500MB or 20GB; the oldest makes way; `all`: what the disk has.",
        show_default="2GB",
    ),
]

Record = Annotated[
    bool, typer.Option("--record", help="Keep a clip of the video around each event in the store, not encoded again.")
]
RecordBefore = Annotated[
    str | None,
    typer.Option("--record-before", metavar="TIME", help="How much before an event is in its clip.", show_default="5s"),
]
RecordAfter = Annotated[
    str | None,
    typer.Option(
        "--record-after", metavar="TIME", help="How much after an event began is in its clip.", show_default="10s"
    ),
]


@dataclass(frozen=True)
class StoreOptions:
    """A store that is to be opened once the model is loaded. record: how much of the video is in clips, if at all."""

    folder: Path
    keep: Keep
    record: Around | None

    def open(self, model: Perception) -> EventStore:
        """Open it. Raises StoreError."""
        from vljepa_edge.store.store import EventStore

        return EventStore(self.folder, model, self.keep)


def read_store(
    folder: Path | None, keep: str | None, keep_size: str | None, record: bool, before: str | None, after: str | None
) -> StoreOptions | None:
    """What the options ask for, before a model is loaded. Raises InputError, and StoreError for a file that is none."""
    for name, value in (("--record-before", before), ("--record-after", after)):
        if value is not None and not record:
            raise InputError(f"{name} is for --record")
    if folder is None:
        for name, value in (("--keep", keep), ("--keep-size", keep_size), ("--record", "" if record else None)):
            if value is not None:
                raise InputError(f"{name} is for --store; say where events are to be kept, e.g. --store events")
        return None
    from vljepa_edge.store.database import check_file
    from vljepa_edge.store.keep import Keep
    from vljepa_edge.store.recorder import Around

    default = Keep()
    age = default.age if keep is None else None if keep == _ALL else seconds(keep, "--keep")
    most = default.size if keep_size is None else None if keep_size == _ALL else size(keep_size, "--keep-size")
    kept = Keep(age, most)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--store must be a folder, got {folder}")
    check_file(folder)
    around = Around(
        Around.before if before is None else seconds(before, "--record-before"),
        Around.after if after is None else seconds(after, "--record-after"),
    )
    return StoreOptions(folder, kept, around if record else None)


class StoreSink:
    """Stores the events of `vljepa stream`, under a name after its source.

    It sees frames from the beginning; its store is opened when the source and the model are there, so that a source
    that can't be opened leaves none behind.
    """

    def __init__(self, options: StoreOptions, source: str, video: VideoEntry) -> None:
        from vljepa_edge.serve.hub import name_after
        from vljepa_edge.serve.pictures import Tap
        from vljepa_edge.store.recorder import Recorder
        from vljepa_edge.streaming.openings import Openings

        self._options = options
        self._store: EventStore | None = None
        self._name = name_after(source)
        self._tap = Tap(1 / video.fps, kept=2 * video.window)
        self._openings = Openings()
        self._recorder = None if options.record is None else Recorder(self._name, self._put_clip, options.record)
        self._next = 0

    def open(self, model: Perception) -> None:
        """Open the store, which the sink closes. Raises StoreError."""
        self._store = self._options.open(model)
        self._next = max(int(time.time() * 1000), self._store.first_free)

    @property
    def ring(self) -> PacketRing | None:
        """Where the source's packets are to be kept."""
        return None if self._recorder is None else self._recorder.ring

    def begin(self, events: EventReader) -> None:
        """Nothing of it is needed."""

    def see(self, frame: Frame) -> None:
        """Take a frame, for the pictures of the next events."""
        self._tap.put(frame.image, frame.time)
        if self._store is not None:
            self._store.saw(self._name, frame.time)
        if self._recorder is not None:
            self._recorder.look()

    def event(self, event: Event, line: Mapping[str, Any] | None = None, text: str | None = None) -> None:
        """Store an event."""
        from vljepa_edge.store.entry import Entry
        from vljepa_edge.streaming.openings import begins, ends

        begun = self._openings.end(self._name, event) if ends(event) else None
        if begins(event):
            begun = self._next
            self._openings.begin(self._name, event, begun)
        picture = None if ends(event) else self._tap.near(event.decided_at)
        told = event if text is None else replace(event, text=text)
        if self._store is not None:
            self._store.put(Entry(self._next, begun, self._name, time.time(), told, picture))
        if self._recorder is not None and begins(event):
            self._recorder.begins(self._next, event.start)
        self._next += 1

    def summary(self, line: Mapping[str, Any]) -> None:
        """Nothing of it is stored."""

    def close(self, *, complete: bool = True) -> None:
        """Write what waits."""
        if self._recorder is not None:
            self._recorder.finish()
        if self._store is not None:
            self._store.close()

    def __enter__(self) -> StoreSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _put_clip(self, clip: Clip) -> None:
        if self._store is not None:
            self._store.put_clip(clip)
