"""What `vljepa stream` prints: JSON for programs, lines for people."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from io import RawIOBase
from typing import TYPE_CHECKING, Any, cast

from vljepa_edge.cli.labels import names_text
from vljepa_edge.cli.outlet import Outlet
from vljepa_edge.cli.output import console, json_line, video_warnings
from vljepa_edge.sinks.piece_file import Piece, PieceFile

if TYPE_CHECKING:
    from rich.console import Console

    from vljepa_edge.streaming.event import Event


class Printed:
    """Standard output. Who reads it may close it, which ends the stream."""

    def __init__(self, *, as_json: bool, several: bool, live: bool) -> None:
        """several: queries, so that each line says which one it is of. live: see Outlet."""
        self._console = None if as_json else console()
        self._several = several
        self._outlet = Outlet("standard output", "lines", _standard_output, fatal=BrokenPipeError)
        self._outlet.live = live

    def event(self, event: Event, line: Mapping[str, Any], names: dict[str, float] | None) -> None:
        """Print an event. line: it as JSON. names: what is there, in place of its text."""
        if self._console is None:
            self._put(json_line(line))
            return
        with self._console.capture() as text:
            print_event(self._console, event, self._several, names)
        self._put(text.get())

    def summary(self, line: Mapping[str, Any]) -> None:
        """Print the last line."""
        self._outlet.settle()
        if self._console is None:
            self._put(json_line({**line, **video_warnings()}))
            return
        with self._console.capture() as text:
            print_summary(self._console, line)
        self._put(text.get())

    def close(self, *, complete: bool) -> None:
        """Try what waits a last time. Raises OSError where lines were lost."""
        self._outlet.close()

    def _put(self, text: str) -> None:
        data = text.encode(sys.stdout.encoding, sys.stdout.errors or "strict")
        self._outlet.put(lambda: Piece(data))


def _standard_output() -> PieceFile:
    sys.stdout.flush()
    buffer = sys.stdout.buffer
    return PieceFile(cast(RawIOBase, getattr(buffer, "raw", buffer)), shared=True)


def print_event(out: Console, event: Event, several: bool, names: dict[str, float] | None = None) -> None:
    """`   3.25 -     ... s  text  (72 % sure, change 0.41)` when a segment opens, `   3.25 -  7.50 s  text  ...` at its
    end. A general sentence says that it is one; where no text was sure enough "(not sure)" stands in its place.

    names: of what is there in the segment, which stand in place of its text.
    """
    from rich.text import Text

    closed = event.end is not None
    span = f"{event.start:7.2f} - {event.end:7.2f} s" if closed else f"{event.start:7.2f} -     ... s"
    asked = f"  [{event.query}]" if several and event.is_segment else ""
    style = "dim" if event.status in ("open", "stalled") else "bold"
    notes = ["in general words"] if event.wording == "general" and names is None else []
    if event.reused and names is None:
        notes.append("as before")
    if event.confidence is not None and names is None and event.wording != "none":  # that of a text that is not shown
        notes.append(f"{100 * event.confidence:.0f} % sure")
    if event.is_segment:
        notes.append(f"change {event.change:.2f}")
    text = event.words() if names is None else names_text(names)
    said = f"  ({', '.join(notes)}){asked}" if notes else ""
    out.print(Text.assemble((span, "cyan"), "  ", (text, style), (said, "dim")))


def print_summary(out: Console, summary: Mapping[str, Any]) -> None:
    """One line of counts and speed."""
    hop = summary["latency_ms"]["hop"]
    factor = summary["realtime_factor"]
    speed = "" if factor is None else f", {factor:.1f}x real time"
    if hop["p50"] is not None:
        speed += f", a hop takes {hop['p50']:.1f} ms (p99 {hop['p99']:.1f} ms)"
    counts = ", ".join(f"{summary[name]} {name}" for name in ("frames", "hops", "decodes", "dropped"))
    if summary["still"]:
        counts = counts.replace(" frames", f" frames ({summary['still']} still)", 1)
    if summary["hops_idle"]:
        counts = counts.replace(" hops", f" hops ({summary['hops_idle']} idle)", 1)
    if summary["reuses"]:
        counts = counts.replace(" decodes", f" decodes ({summary['reuses']} texts used again)", 1)
    out.print(counts + speed, style="dim")
