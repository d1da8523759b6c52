"""`python -m benchmarks`: run every stage, print one table, write docs/performance.md."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench
from benchmarks.comparison import Comparison
from benchmarks.interleave import cpu_clock
from benchmarks.limits import measure_limits
from benchmarks.report import Bar, BenchReport, markdown, print_report
from vljepa_edge.cli.machine import machine
from vljepa_edge.cli.output import progress
from vljepa_edge.support.atomic import replacing

STAGES = (
    "decode_scale", "x_encoder", "predictor", "policy_push", "chain_ward", "y_decoder", "whole_hop", "start_up",
    "vjepa2",
)  # fmt: skip
DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


def main() -> None:
    """Read the command line and do it all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--model", type=Path, default=os.environ.get("VLJEPA_MODEL"), help="a bundle; the default one when left out"
    )
    parser.add_argument("--only", help=f"stages, with commas, of {', '.join(STAGES)}; writes no document by itself")
    parser.add_argument("--seconds", type=float, default=12.0, help="for one comparison; cheap ones take less")
    parser.add_argument("--least", type=int, default=5, help="rounds of a comparison, however long they take")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: processor time, for a machine that is not quiet"
    )
    parser.add_argument("--out", type=Path, help=f"the document to write; {DOCUMENT.name} when all stages ran")
    given = parser.parse_args()
    stages = STAGES if given.only is None else tuple(given.only.split(","))
    if unknown := [stage for stage in stages if stage not in STAGES]:
        parser.error(f"a stage must be one of {', '.join(STAGES)}, got {unknown[0]}")
    out = given.out or (DOCUMENT if stages == STAGES else None)

    report = measure(given, stages)
    print_report(report)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as part:
            part.write_text(markdown(report), encoding="utf-8")


def measure(given: argparse.Namespace, stages: tuple[str, ...]) -> BenchReport:
    """Run the stages; what is told of them."""
    clock: Callable[[], float] = time.perf_counter if given.clock == "wall" else cpu_clock
    about = machine()
    threads = tuple(sorted({1, min(2, about["cores"])}))
    comparisons: list[Comparison] = []
    with tempfile.TemporaryDirectory(prefix="vljepa-bench-") as folder, progress() as bar:
        task = bar.add_task("limits", total=len(stages) + 1)
        limits = measure_limits(clock, threads, is_cpu_clock=given.clock == "cpu")
        path = None if given.model is None else Path(given.model)
        bench = Bench(path, Path(folder), limits, given.seconds, given.least, clock)
        for stage in stages:
            bar.update(task, advance=1, description=stage.replace("_", " "))
            comparisons += map(bench.compare, import_module(f"benchmarks.{stage}").stages(bench))
        hop = None
        if "whole_hop" in stages:
            from benchmarks.whole_hop import stream_the_clip

            hop = stream_the_clip(bench)
        bundle = bench.bundle.manifest
        return BenchReport(
            command=f'make bench ARGS="{shlex.join(sys.argv[1:])}"' if sys.argv[1:] else "make bench",
            date=date.today().isoformat(),
            machine=about,
            bundle=f"{bundle.name} {bundle.version} (digest {bench.bundle.digest[:12]})",
            clip=bench.clip[1],
            clock=given.clock,
            precision=bench.computes_in(bench.precision),
            limits=limits,
            comparisons=comparisons,
            bars=bars(hop, {name: value for item in comparisons for name, value in item.figures.items()}),
            hop=hop,
        )


def bars(hop: dict[str, Any] | None, figures: dict[str, float]) -> list[Bar]:
    """What this project promises on two cores, beside what was measured."""
    found = []
    if hop is not None:
        found += [
            Bar("a hop with scaling, one thread, p50", figures["hop p50"], 25, "ms"),
            Bar("a hop with scaling, one thread, p99", figures["hop p99"], 40, "ms"),
            Bar("time of a hop outside graphs and scaling, p50", hop["latency_ms"]["overhead"]["p50"], 1, "ms"),
            Bar("streaming a 640x480 file, 30 fps", hop["realtime"], 8, "x real time", most=False),
        ]
    for key, least in (("small INT8", 5.0), ("full best", 2.5)):
        if f"vjepa2 {key}" in figures:
            what = f"V-JEPA 2, {key}, against transformers in fp32 eager"
            found.append(Bar(what, figures[f"vjepa2 {key}"], least, "x as fast", most=False))
    if "load" in figures:
        found += [
            Bar("import vljepa_edge", figures["import"], 0.3, "s"),
            Bar("load() of the bundle, new process", figures["load"], 1.5, "s"),
        ]
    return found


if __name__ == "__main__":
    main()
