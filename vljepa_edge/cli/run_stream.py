"""Running a stream for a person or a program: a line a segment, a summary, and the sinks that are told the same."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from vljepa_edge.cli.labels import NOTHING, Namer, Wanted, names_json, names_text
from vljepa_edge.cli.output import console, print_json, video_warnings
from vljepa_edge.cli.signals import ToldToEnd, finishing
from vljepa_edge.errors import VLJepaError
from vljepa_edge.support.json_numbers import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from vljepa_edge.cli.out import Sink
    from vljepa_edge.model import Model
    from vljepa_edge.streaming.event import Event
    from vljepa_edge.streaming.options import StreamOptions
    from vljepa_edge.streaming.reader import EventReader
    from vljepa_edge.video.source import SourceLike

STAGES = ("hop", "encode", "predict", "decode")


def run_stream(
    model: Model,
    source: SourceLike,
    queries: list[str],
    options: StreamOptions,
    wanted: Wanted = NOTHING,
    *,
    as_json: bool,
    sinks: Sequence[Sink] = (),
) -> None:
    """Print the segments of a source, then a summary; after that is raised what ended it early: an error or a signal.
    `sinks` are told of the same, and of segments that aren't printed; they are closed however this ends.

    A segment is printed where `options.decode` puts it into words, with "none" when it closes; what appears, is gone,
    begins, ends or stalls always is. The default query is asked where nothing is: no query, and nothing of labels.
    """
    printed = {"open": ("open",), "both": ("open", "closed")}.get(options.decode, ("closed",))
    wanted.check(model)
    namer = Namer(model, wanted.names) if wanted.names else None
    asked = list(dict.fromkeys([*queries, *([namer.query] if namer else [])]))
    several = len(asked) > 1
    out = None if as_json else console()
    started = time.perf_counter()
    events = model.stream(source, query=asked if asked or wanted else None, options=options)
    for sink in sinks:
        sink.begin(events)
    try:
        wanted.tell(events.stream)
    except VLJepaError:
        events.close()
        raise

    def show() -> None:
        for event in events:
            if event.is_segment and event.status not in printed:
                for sink in sinks:
                    sink.event(event)
                continue
            names = namer.names(event) if namer else None
            line = {"type": "event"} | event.to_dict() | names_json(names)
            for sink in sinks:
                sink.event(event, line, None if names is None else ", ".join(names))
            if out is None:
                print_json(line)
            else:
                print_event(out, event, several, names)

    failure: VLJepaError | None = None
    complete = False
    try:
        with finishing(events.finish) as told:
            try:
                show()
                complete = not told
            except VLJepaError as error:
                failure = error
            summary = summary_json(events, time.perf_counter() - started)
            for sink in sinks:
                sink.summary(summary | video_warnings())
            if out is None:
                print_json(summary | video_warnings())
            else:
                print_summary(out, summary)
    finally:
        with ExitStack() as closing:
            for sink in sinks:
                closing.callback(sink.close, complete=complete)
    if told:
        raise ToldToEnd(told[0])
    if failure is not None:
        raise failure


def summary_json(events: EventReader, seconds: float) -> dict[str, Any]:
    """The last line: counts, seconds of video per second of work (None for a photo), and latencies in milliseconds.

    `dropped` counts every frame that came and was too late, whether for the source's thread or for the stream.
    """
    stats = events.stats()
    return {
        "type": "summary",
        "frames": stats.frames,
        "still": stats.still,
        "hops": stats.hops,
        "hops_idle": stats.hops_idle,
        "decodes": stats.decodes,
        "reuses": stats.reuses,
        "dropped": events.source.stats.dropped + stats.dropped + stats.stale,
        "realtime_factor": number(stats.seconds / seconds, 2) if stats.seconds > 0 else None,
        "latency_ms": stats.percentiles(STAGES),
    }


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
    if event.confidence is not None and names is None:
        notes.append(f"{100 * event.confidence:.0f} % sure")
    if event.is_segment:
        notes.append(f"change {event.change:.2f}")
    text = event.words() if names is None else names_text(names)
    said = f"  ({', '.join(notes)}){asked}" if notes else ""
    out.print(Text.assemble((span, "cyan"), "  ", (text, style), (said, "dim")))


def print_summary(out: Console, summary: dict[str, Any]) -> None:
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
