"""`vljepa stream`: what happens in a video, line by line, as it happens."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from vljepa_edge.cli.labels import (
    NOTHING,
    Heads,
    Hold,
    Namer,
    Names,
    Wanted,
    Watch,
    names_json,
    names_text,
    read_wanted,
)
from vljepa_edge.cli.options import (
    Debug,
    Decode,
    EngineName,
    Hop,
    Json,
    MinConfidence,
    ModelPath,
    Open,
    Policy,
    Precision,
    Queries,
    Source,
    Threads,
    decode_mode,
    load_model,
    open_and_load,
)
from vljepa_edge.cli.out_rerun import RerunTarget, read_rerun
from vljepa_edge.cli.output import console, print_json, video_warnings
from vljepa_edge.cli.recordings import Camera, ClockName, EpisodeNumber, Topic, read_source
from vljepa_edge.cli.signals import ToldToEnd, finishing
from vljepa_edge.cli.store import (
    KeepAge,
    KeepSize,
    Record,
    RecordAfter,
    RecordBefore,
    StoreFolder,
    StoreSink,
    read_store,
)
from vljepa_edge.errors import VLJepaError
from vljepa_edge.support.json_numbers import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from vljepa_edge.cli.out import Sink
    from vljepa_edge.model import Model
    from vljepa_edge.streaming.event import Event
    from vljepa_edge.streaming.options import Decode as Decoded
    from vljepa_edge.streaming.options import StreamOptions
    from vljepa_edge.streaming.reader import EventReader
    from vljepa_edge.video.frame import Frame
    from vljepa_edge.video.source import SourceLike, Tap

STAGES = ("hop", "encode", "predict", "decode")


def stream(
    source: Source,
    query: Queries = None,
    policy: Policy = "running-ward",
    hop: Hop = None,
    watch: Watch = None,
    hold: Hold = None,
    labels: Names = None,
    head: Heads = None,
    also_open: Open = False,
    decode: Decode = None,
    min_confidence: MinConfidence = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help=".vtt, .srt: subtitles; .mp4: the video with captions; .jsonl, .mcap: what --json prints.",
        ),
    ] = None,
    rerun: RerunTarget = None,
    topic: Topic = None,
    clock: ClockName = None,
    episode: EpisodeNumber = None,
    camera: Camera = None,
    store: StoreFolder = None,
    keep: KeepAge = None,
    keep_size: KeepSize = None,
    record: Record = False,
    record_before: RecordBefore = None,
    record_after: RecordAfter = None,
    model: ModelPath = None,
    engine: EngineName = "openvino",
    threads: Threads = None,
    precision: Precision = "auto",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what happens in a video, bag, camera or network stream, a line a segment, until Ctrl-C or SIGTERM comes.

    \b
    Examples:
      vljepa stream clip.mp4
      vljepa stream camera:0 --open -q "What is happening?" -q "What moves?"
      vljepa stream rtsp://10.0.0.5/door --policy uniform:period=2 --json
      vljepa stream camera:0 --watch cup,person --hold 1
      vljepa stream clip.mp4 --labels @coco80
      vljepa stream camera:0 --head my.head.npz
      vljepa stream clip.mp4 --out clip.vtt
      vljepa stream drive.mcap --topic /camera/image_raw/compressed --out events.mcap
      vljepa stream pusht --episode 3 --camera observation.images.top
      vljepa stream clip.mp4 --rerun clip.rrd
      vljepa stream camera:0 --store ~/events --keep 30d
      vljepa stream clip.mp4 --store ~/events --record --record-before 3s
    """
    from vljepa_edge.cli.out import read_out
    from vljepa_edge.perception.perception import open_at
    from vljepa_edge.streaming.options import StreamOptions

    wanted = read_wanted(watch, hold, labels, head)
    if wanted and not query and decode is None and not also_open:
        decode = "none"  # labels are all that is asked for
    when = cast("Decoded", decode_mode(decode, also_open))
    options = StreamOptions(policy=policy, hop=hop, decode=when, min_confidence=min_confidence)
    chosen = read_source(source, topic, clock, episode, camera)
    stored = read_store(store, keep, keep_size, record, record_before, record_after)
    sinks: list[Sink] = [] if out is None else [read_out(out, source)]
    shown = read_rerun(rerun, source)
    if shown is not None:
        sinks.append(shown)
    if stored is None:
        opened, loaded = open_and_load(chosen, model, engine, threads, precision, None if shown is None else shown.see)
        with opened:
            run_stream(loaded, opened, query or [], options, wanted, as_json=as_json, sinks=sinks)
        return
    loaded = load_model(model, engine, threads, precision)
    with (
        StoreSink(stored.open(loaded), source, loaded, stored.record) as keeper,
        open_at(
            loaded.manifest.video, chosen, tap=both(keeper.see, None if shown is None else shown.see), ring=keeper.ring
        ) as opened,
    ):
        run_stream(loaded, opened, query or [], options, wanted, as_json=as_json, sinks=[*sinks, keeper])


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


def both(first: Tap, second: Tap | None) -> Tap:
    """Tells two."""

    def tell(frame: Frame) -> None:
        first(frame)
        if second is not None:
            second(frame)

    return tell


def summary_json(events: EventReader, seconds: float) -> dict[str, Any]:
    """The last line: counts, seconds of video per second of work (None for a photo), and latencies in milliseconds.

    `dropped` counts every frame that came and was too late, whether for the source's thread or for the stream.
    """
    stats = events.stats()
    return {
        "type": "summary",
        "frames": stats.frames,
        "hops": stats.hops,
        "hops_idle": stats.hops_idle,
        "decodes": stats.decodes,
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
    if summary["hops_idle"]:
        counts = counts.replace(" hops", f" hops ({summary['hops_idle']} idle)", 1)
    out.print(counts + speed, style="dim")
