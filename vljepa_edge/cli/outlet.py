"""Where what a stream says goes, piece by piece, and what waits where that can't be written."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from vljepa_edge.cli.output import warn
from vljepa_edge.sinks.piece_file import Piece, PieceFile

WAITING = 512  # pieces that may wait for a disk, as in a store
_SOONEST, _LATEST = 1.0, 60.0  # seconds until it is tried again: the double each time that it fails


class Outlet:
    """A file that pieces go into, each complete or not at all.

    `live`: an output that can't be written does not end the stream. The newest 512 pieces wait and are tried again,
    those before them are lost and counted. It is said when that begins and when it is over, and close() raises OSError.
    For another stream, and for an error that is `fatal`, the first method that meets it raises OSError.
    """

    def __init__(
        self, name: str, unit: str, open_file: Callable[[], PieceFile], fatal: type[OSError] | None = None
    ) -> None:
        """name, unit: of the file and of pieces, in messages. open_file: called for the first piece."""
        self.live = False
        self._name, self._unit, self._open, self._fatal = name, unit, open_file, fatal
        self._file: PieceFile | None = None
        self._waiting: deque[Callable[[], Piece]] = deque()
        self._next: Piece | None = None  # the first of them, once it is made
        self._lost = 0
        self._error: OSError | None = None  # the newest one
        self._failing = False
        self._pause, self._due = _SOONEST, 0.0

    @property
    def used(self) -> bool:
        """Whether it was given a piece, written or not."""
        return self._file is not None or self._left > 0

    def put(self, make: Callable[[], Piece]) -> None:
        """Write a piece. It is made once all before it are written."""
        self._waiting.append(make)
        if self._left > WAITING:
            self._waiting.popleft()
            self._lost += 1
        if time.monotonic() >= self._due:
            self._try()

    def renew(self, make: Callable[[], Piece]) -> None:
        """Write a piece that has all that those which wait would have."""
        self._waiting.clear()
        self.put(make)

    def settle(self) -> None:
        """Nothing is left to say: try what waits at once, and warn of what is lost."""
        self._try()
        if self._failing:
            warn(f"{self._name}: {self._gone()}")

    def close(self) -> None:
        """Try what waits a last time, and close the file. Raises OSError where something is lost."""
        self._try()
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                raise self._named(error) from error
        if self._error is not None and self._lost + self._left:
            raise OSError(self._error.errno, self._gone(), self._name)

    @property
    def _left(self) -> int:
        return len(self._waiting) + (self._next is not None)

    def _gone(self) -> str:
        reason = "" if self._error is None else self._error.strerror
        return f"{reason}; {self._lost + self._left} {self._unit} were lost"

    def _named(self, error: OSError) -> OSError:
        return OSError(error.errno, error.strerror, self._name)

    def _try(self) -> None:
        try:
            self._write()
        except OSError as error:
            self._error = self._named(error)
            if not self.live or (self._fatal is not None and isinstance(error, self._fatal)):
                self._waiting.clear()
                self._next = None
                raise self._error from error
            if not self._failing:
                warn(f"{self._name}: {error.strerror}; the stream goes on, and it is tried again")
            self._failing = True
            self._due = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LATEST)
        else:
            if self._failing:
                warn(f"{self._name}: it is written again; {self._lost} {self._unit} were lost")
            self._failing = False
            self._pause, self._due = _SOONEST, 0.0

    def _write(self) -> None:
        while self._left:
            if self._file is None:
                self._file = self._open()
            if self._next is None:
                self._next = self._waiting.popleft()()
            self._file.write(self._next)
            self._next = None


def file_outlet(path: Path, unit: str) -> Outlet:
    """Into a file of that name. What stood there goes with the first piece. Raises nothing."""
    return Outlet(str(path), unit, lambda: PieceFile(path.open("wb", buffering=0)))
