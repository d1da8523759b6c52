"""`vljepa bench`: how fast a bundle runs here, stage by stage, with the machine beside the figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vljepa_edge.cli.machine import machine
from vljepa_edge.cli.options import Debug, EngineName, Json, ModelPath, Policy, Precision, Threads, load_model
from vljepa_edge.cli.output import console, print_json, progress
from vljepa_edge.errors import FrameError, VLJepaError, redacted
from vljepa_edge.support.json_numbers import number
from vljepa_edge.support.power import PowerMeter, find_rails
from vljepa_edge.support.process import peak_memory

if TYPE_CHECKING:
    from vljepa_edge.model import Model

CLIP_SECONDS = 12
CLIP_FPS = 30
CLIP_SIZE = (640, 480)
PERCENTILES = (50, 90, 99)
_SCENE_SECONDS = 3.0
_DIRECTIONS = ((110, 0), (0, 90), (-110, 0), (0, -90))
_SCENES = len(_DIRECTIONS)

_STARTUP = """
import json, sys, time
start = time.perf_counter(); import vljepa_edge; imported = time.perf_counter()
model = vljepa_edge.load(**json.loads(sys.argv[1])); loaded = time.perf_counter()
model.embed_text(["warm"]); first = time.perf_counter()
print(imported - start, loaded - imported, first - loaded)
"""


def write_clip(path: Path, seconds: float = CLIP_SECONDS) -> None:
    """Write a 640x480 video at 30 frames a second: chequered shapes that move over a noisy background; both change
    every three seconds."""
    import av
    import numpy as np

    width, height = CLIP_SIZE
    draw = np.random.default_rng(0)
    coarse = draw.integers(40, 200, (_SCENES, height // 16, width // 16, 3))
    backgrounds = coarse.repeat(16, axis=1).repeat(16, axis=2).astype(np.int16)
    chequers = 30 * (np.indices((110, 110)).sum(0) // 16 % 2)[..., None]
    grain = draw.integers(-12, 13, (8, height, width, 3), dtype=np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=CLIP_FPS)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 4_000_000
        for i in range(int(seconds * CLIP_FPS)):
            number, t = divmod(i / CLIP_FPS, _SCENE_SECONDS)
            scene = int(number) % _SCENES
            across, down = _DIRECTIONS[scene]
            image = backgrounds[scene] + grain[i % len(grain)]
            for shape in range(1 + scene % 3):
                left = int((60 + 170 * shape + across * t) % (width - 120))
                top = int((40 + 120 * shape + down * t) % (height - 120))
                image[top : top + 110, left : left + 110] = 60 * shape + chequers
            frame = av.VideoFrame.from_ndarray(image.clip(0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def percentiles(samples: list[float]) -> dict[str, float | None]:
    """p50, p90 and p99 of some milliseconds; None for each when there are none."""
    import numpy as np

    if not samples:
        return {f"p{p}": None for p in PERCENTILES}
    values = np.percentile(np.asarray(samples), PERCENTILES)
    return {f"p{p}": number(float(v), 3) for p, v in zip(PERCENTILES, values, strict=True)}


def measure(model: Model, source: str, seconds: float, policy: str) -> dict[str, Any]:
    """Stream the source again and again until `seconds` of wall time are over; latencies in milliseconds, and what the
    machine draws meanwhile, all of it, where it has a meter.

    The stage `source` is the wait for a frame: a thread reads, decodes and scales it while the model looks at the one
    before.
    """
    from vljepa_edge.video.source import open_source

    video = model.manifest.video
    waits: list[float] = []
    frames, offset = 0, 0.0
    memory_start = peak_memory()
    rails, unread = find_rails()
    with PowerMeter(rails) as meter, model.open_stream(policy=policy) as stream, progress() as bar:
        task = bar.add_task("measuring", total=round(seconds))
        begin = last = time.perf_counter()
        while last - begin < seconds:
            stamp = offset
            with open_source(source, size=(video.width, video.height), resize=video.resize, fps=video.fps) as opened:
                for frame in opened:
                    waits.append(1e3 * (time.perf_counter() - last))
                    stamp = offset + frame.time
                    stream.push(frame.image, stamp)
                    stream.poll()
                    frames += 1
                    last = time.perf_counter()
                    bar.update(task, completed=min(round(last - begin), round(seconds)))
                    if last - begin >= seconds:
                        break
            if stamp == offset and frames == 0:
                raise FrameError(f"{redacted(str(source))} gave no frame to measure with")
            offset = stamp + 1 / video.fps
            last = time.perf_counter()
        elapsed = last - begin
        stats = stream.stats()
    stages = {"source": percentiles(waits)}
    for stage, values in stats.latency_ms.items():
        stages[stage] = {f"p{p}": number(values.get(f"p{p}"), 3) for p in PERCENTILES}
    return {
        "seconds": number(elapsed, 3),
        "frames": frames,
        "hops": stats.hops,
        "decodes": stats.decodes,
        "realtime_factor": number(stats.seconds / elapsed, 2),
        "latency_ms": stages,
        "power": {"watts": {name: number(value, 3) for name, value in meter.watts.items()}, "unread": unread},
        "memory": {"peak_bytes": peak_memory(), "before_bytes": memory_start},
    }


def start_up(path: Path | None, engine: str, threads: int | None, precision: str) -> dict[str, float | None]:
    """Seconds to import the package, to load the bundle, and for the first text, in a process of its own; and to load
    it in another that keeps no compiled graphs, so that it has to compile them."""
    from vljepa_edge.engines.compiled_cache import OFF, VARIABLE

    how = {"path": None if path is None else str(path), "engine": engine, "threads": threads, "precision": precision}
    command = [sys.executable, "-c", _STARTUP, json.dumps(how)]

    def run(**variables: str) -> list[float | None]:
        done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
            raise VLJepaError(f"a fresh process can't load the model: {reason[0]}")
        return [number(float(value), 3) for value in done.stdout.split()]

    compiling = run(**{VARIABLE: OFF})[1]
    imported, loaded, first = run()
    return {"import": imported, "load": loaded, "load_compiling": compiling, "first_text": first}


def bench(
    seconds: Annotated[
        float, typer.Option("--seconds", "-s", min=0.1, metavar="N", help="How long to measure.")
    ] = 10.0,
    source: Annotated[
        str | None, typer.Option("--source", metavar="FILE", help="A video.", show_default="a synthetic one")
    ] = None,
    streams: Annotated[
        int | None,
        typer.Option(
            "--streams", min=2, max=64, metavar="N", help="Also measure N streams at a time beside one.",
            show_default="one alone",
        ),
    ] = None,
    policy: Policy = "uniform:period=1",
    model: ModelPath = None,
    engine: EngineName = "openvino",
    threads: Threads = None,
    precision: Precision = "auto",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure each stage (p50, p90, p99), the realtime factor, memory and start-up on this machine; with --streams, how
    many hops several streams make together.

    \b
    Examples:
      vljepa bench
      vljepa bench --threads 1 --seconds 30 --json
      vljepa bench --source my.mp4 --engine onnxruntime
      vljepa bench --streams 8
    """
    from vljepa_edge.cli.bench_streams import side_by_side
    from vljepa_edge.streaming.policy import parse_policy

    parse_policy(policy)
    with tempfile.TemporaryDirectory(prefix="vljepa-bench-") as folder:
        clip = source
        if clip is None:
            clip = str(Path(folder) / "clip.mp4")
            write_clip(Path(clip))
        loaded = load_model(model, engine, threads, precision)
        figures = measure(loaded, clip, seconds, policy)
    if streams is not None:
        with progress() as bar:
            bar.add_task(f"measuring {streams} streams", total=None)
            figures["together"] = side_by_side(loaded, streams, seconds)
    about = loaded.manifest
    described = {
        "model": {"name": about.name, "version": about.version, "digest": loaded.bundle.digest},
        "engine": {"name": engine, "threads": threads, "precision": precision},
        "policy": policy,
        "source": redacted(source)
        if source
        else f"synthetic {CLIP_SIZE[0]}x{CLIP_SIZE[1]}, {CLIP_FPS} fps, {CLIP_SECONDS} s",
    }
    report = described | figures | {"startup_s": start_up(model, engine, threads, precision), "machine": machine()}
    if as_json:
        print_json(report)
    else:
        print_report(report)


def print_report(report: dict[str, Any]) -> None:
    """The figures as a table, the machine under it."""
    from rich.table import Table

    out = console()
    table = Table("stage, ms", box=None, header_style="bold")
    for p in PERCENTILES:
        table.add_column(f"p{p}", justify="right")
    for stage, values in report["latency_ms"].items():
        table.add_row(stage, *("-" if value is None else f"{value:.2f}" for value in values.values()))
    out.print(table)
    start, about = report["startup_s"], report["machine"]
    out.print(f"\n{report['realtime_factor']:.1f}x real time: {report['frames']} frames in {report['seconds']:.1f} s")
    out.print(f"source: {report['source']}; policy: {report['policy']}")
    for row in report.get("together", []):
        name = f"{row['streams']} streams" if row["streams"] > 1 else "1 stream, pushed as fast as it takes frames"
        push = f"a push {row['push_ms']['p50']:.1f} ms (p99 {row['push_ms']['p99']:.1f})"
        made = f"{row['hops_per_s']:.1f} hops a second ({row['of_one']:.2f}x)"
        out.print(f"{name}: {made}, {push}, {row['processor_ms']:.1f} ms of processor time a hop")
    if report["memory"]["peak_bytes"] is not None:
        out.print(f"peak memory {report['memory']['peak_bytes'] / 1e6:.0f} MB")
    power = ", ".join(f"{name} {watts:.1f} W" for name, watts in report["power"]["watts"].items())
    if power or report["power"]["unread"]:
        out.print(f"power of the machine meanwhile: {power or report['power']['unread']}")
    compiling = f"({start['load_compiling']:.2f} s where it has to compile the graphs)"
    first = f"first text {start['first_text']:.2f} s"
    out.print(f"import {start['import']:.2f} s, load {start['load']:.2f} s {compiling}, {first}")
    out.print(f"{report['model']['name']} {report['model']['version']} on {report['engine']['name']}")
    out.print(f"{about['cpu']}, {about['cores']} cores, load {about['load']}; {' '.join(about['features'])}")
    versions = {"Python": about["python"], **about["packages"]}
    out.print(", ".join([about["os"], *(f"{name} {version}" for name, version in versions.items())]))
