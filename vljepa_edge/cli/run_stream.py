"""Running a stream for a person or a program: a line a segment, a summary, and the sinks that are told the same."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from vljepa_edge.cli.labels import NOTHING, Namer, Wanted, names_json
from vljepa_edge.cli.output import video_warnings
from vljepa_edge.cli.printed import Printed
from vljepa_edge.cli.root import describe, print_error
from vljepa_edge.cli.signals import ToldToEnd, finishing
from vljepa_edge.errors import VLJepaError
from vljepa_edge.support.json_numbers import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vljepa_edge.cli.out import Sink
    from vljepa_edge.model import Model
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
    shown = {"open": ("open",), "both": ("open", "closed")}.get(options.decode, ("closed",))
    wanted.check(model)
    namer = Namer(model, wanted.names) if wanted.names else None
    asked = list(dict.fromkeys([*queries, *([namer.query] if namer else [])]))
    started = time.perf_counter()
    events = model.stream(source, query=asked if asked or wanted else None, options=options)
    printed = Printed(as_json=as_json, several=len(asked) > 1, live=events.source.live)
    for sink in sinks:
        sink.begin(events)
    try:
        wanted.tell(events.stream)
    except VLJepaError:
        events.close()
        raise

    def tell() -> None:
        for event in events:
            if event.is_segment and event.status not in shown:
                for sink in sinks:
                    sink.event(event)
                continue
            names = namer.names(event) if namer else None
            line = {"type": "event"} | event.to_dict() | names_json(names)
            for sink in sinks:
                sink.event(event, line, None if names is None else ", ".join(names))
            printed.event(event, line, names)

    failure: VLJepaError | None = None
    complete = False
    try:
        with finishing(events.finish) as told:
            try:
                tell()
                complete = not told
            except VLJepaError as error:
                failure = error
            summary = summary_json(events, time.perf_counter() - started)
            for sink in sinks:
                sink.summary(summary | video_warnings())
            printed.summary(summary)
    except BaseException:
        for problem in _closed(sinks, printed, complete):
            print_error(describe(problem))
        raise
    problems = _closed(sinks, printed, complete)
    if failure is not None and not told:
        problems.insert(0, failure)
    for problem in problems[1:]:
        print_error(describe(problem))
    if problems:
        raise problems[0]
    if told:
        raise ToldToEnd(told[0])


def _closed(sinks: Sequence[Sink], printed: Printed, complete: bool) -> list[Exception]:
    """Close all, and say what went wrong."""
    problems: list[Exception] = []

    def close(sink: Sink | Printed) -> None:
        try:
            sink.close(complete=complete)
        except (OSError, VLJepaError) as error:
            problems.append(error)

    with ExitStack() as closing:
        closing.callback(close, printed)
        for sink in reversed(sinks):
            closing.callback(close, sink)
    return problems


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
