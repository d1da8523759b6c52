"""`vljepa stream`: what happens in a video, line by line, as it happens."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vljepa_edge.cli.labels import Heads, Hold, Names, Watch, read_wanted
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
    Reuse,
    Source,
    Still,
    Threads,
    decode_mode,
    open_and_load,
    open_bundle,
)
from vljepa_edge.cli.out_rerun import RerunTarget, read_rerun
from vljepa_edge.cli.recordings import Camera, ClockName, EpisodeNumber, Topic, read_source
from vljepa_edge.cli.run_stream import run_stream
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

if TYPE_CHECKING:
    from vljepa_edge.cli.out import Sink
    from vljepa_edge.streaming.options import Decode as Decoded
    from vljepa_edge.video.frame import Frame
    from vljepa_edge.video.source import Tap


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
    reuse: Reuse = None,
    still: Still = None,
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
    from vljepa_edge.streaming.options import StreamOptions

    wanted = read_wanted(watch, hold, labels, head)
    if wanted and not query and decode is None and not also_open:
        decode = "none"  # labels are all that is asked for
    when = cast("Decoded", decode_mode(decode, also_open))
    options = StreamOptions(
        policy=policy, hop=hop, decode=when, min_confidence=min_confidence, reuse=reuse or 0.0, still=still or 0.0
    )
    chosen = read_source(source, topic, clock, episode, camera)
    stored = read_store(store, keep, keep_size, record, record_before, record_after)
    sinks: list[Sink] = [] if out is None else [read_out(out, source)]
    shown = read_rerun(rerun, source)
    if shown is not None:
        sinks.append(shown)
    bundle = open_bundle(model)
    tap: Tap | None = None if shown is None else shown.see
    ring = None
    if stored is not None:
        keeper = StoreSink(stored, source, bundle.manifest.video)
        tap, ring = both(keeper.see, tap), keeper.ring
    opened, loaded = open_and_load(chosen, bundle, engine, threads, precision, tap, ring)
    with ExitStack() as closing:
        closing.enter_context(opened)
        if stored is not None:
            keeper.open(loaded)
            sinks.append(closing.enter_context(keeper))
        run_stream(loaded, opened, query or [], options, wanted, as_json=as_json, sinks=sinks)


def both(first: Tap, second: Tap | None) -> Tap:
    """Tells two."""

    def tell(frame: Frame) -> None:
        first(frame)
        if second is not None:
            second(frame)

    return tell
