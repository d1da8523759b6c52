"""The figures as one table on the terminal, and as a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.comparison import Comparison
from benchmarks.limits import Limits

PIPED_WIDTH = 120
COLUMNS = ("", "median", "p10 to p90", "against ours", "of the limit")


@dataclass(frozen=True)
class Bar:
    """A promise and what was measured. `most`: at most this, else at least."""

    what: str
    measured: float
    bar: float
    unit: str
    most: bool = True

    @property
    def met(self) -> bool:
        return self.measured <= self.bar if self.most else self.measured >= self.bar

    def row(self) -> tuple[str, str, str, str]:
        sign = "at most" if self.most else "at least"
        told = f"{self.measured:.3g} {self.unit}"
        return self.what, told, f"{sign} {self.bar:g} {self.unit}", "met" if self.met else "**missed**"


@dataclass(frozen=True)
class BenchReport:
    """All that one run has measured. `hop`: what whole_hop.stream_the_clip returns."""

    command: str
    date: str
    machine: dict[str, Any]
    bundle: str
    clip: str
    clock: str
    precision: str
    limits: Limits
    comparisons: Sequence[Comparison]
    bars: Sequence[Bar]
    hop: dict[str, Any] | None


def milliseconds(ms: float) -> str:
    """A duration with three digits, in the unit that suits it."""
    for scale, unit in ((1e3, "s"), (1.0, "ms"), (1e-3, "µs")):
        if ms >= scale:
            return f"{ms / scale:.3g} {unit}"
    return f"{ms / 1e-3:.2g} µs"


def rows(comparison: Comparison) -> list[tuple[str, str, str, str, str]]:
    """One row a case, ours first; then its limit."""
    found = []
    for i, samples in enumerate(comparison.samples):
        low, high = samples.spread
        ratio = "1" if i == 0 else f"{samples.times(comparison.ours):.2f}x"
        share = comparison.share() if i == 0 else None
        reached = "" if share is None else f"{share:.0%}"
        spread = f"{milliseconds(low)} to {milliseconds(high)}"
        found.append((samples.name, milliseconds(samples.median), spread, ratio, reached))
    return found


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table; every column but the first is right-aligned."""
    marks = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, marks, *lines))


def print_report(report: BenchReport) -> None:
    """One table: a section a comparison."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=None, header_style="bold", pad_edge=False)
    for i, name in enumerate(COLUMNS):
        shown.add_column(name, justify="left" if i == 0 else "right", overflow="fold")
    for comparison in report.comparisons:
        shown.add_row(f"[bold]{comparison.title}[/bold]")
        for i, line in enumerate(rows(comparison)):
            shown.add_row("  " + line[0], *line[1:], style="green" if i == 0 else "")
    for bar in report.bars:
        what, measured, promised, met = bar.row()
        shown.add_row(f"[bold]{what}[/bold]", measured, promised, met.strip("*"))
    out = Console()
    if not out.is_terminal:
        out.width = PIPED_WIDTH
    out.print(shown)


def markdown(report: BenchReport) -> str:
    """The complete document."""
    machine = report.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    clock = "wall time" if report.clock == "wall" else "processor time, since the machine was not quiet"
    parts = [
        "# Performance",
        f"Written by `{report.command}` on {report.date}; do not edit. Every figure below is from that one run.",
        f"* Machine: {machine['cpu']}, {machine['cores']} cores ({', '.join(machine['features'])}), {machine['os']}, "
        f"load {machine['load']} when it began.\n"
        f"* Software: Python {machine['python']}, {packages}.\n"
        f"* Model: {report.bundle}; OpenVINO computes in {report.precision}.\n"
        f"* Video: {report.clip}.",
        "Engines and peers run on **one thread**. Each comparison is interleaved: a round calls every way of doing a "
        "thing once, in a shuffled order, so that whatever slows the machine slows all of them. A row gives the median "
        f"of the rounds ({clock}) and their 10th to 90th percentile; *against ours* is the median of the ratios within "
        "a round (2x: takes twice as long as ours). *Of the limit* is the least time that the machine allows divided "
        "by our median.",
        "## The limits of this machine",
        _limits(report.limits),
        "Peaks are those of a large matrix product, the best of OpenVINO's (oneDNN) and PyTorch's; memory is a copy, "
        "bytes read and written. A graph's limit is its convolutions and matrix products at the peak of its precision, "
        "or reading its weights once from memory, whichever takes longer. Weights that stay in a cache can beat the "
        "latter.",
    ]
    if report.bars:
        parts += ["## The bars", table(("", "measured", "bar", ""), [bar.row() for bar in report.bars])]
    if report.hop:
        parts += ["## Where a hop's time goes", _hop(report.hop)]
    parts.append("## Stage by stage")
    for comparison in report.comparisons:
        notes = list(comparison.notes)
        if comparison.limit is not None:
            notes.insert(0, f"Limit: {milliseconds(comparison.limit.ms)} ({comparison.limit.what}).")
        (ours, *figures), *peers = rows(comparison)
        lines = [(f"**{ours}**", *figures), *peers]
        parts += [f"### {comparison.title}", table(COLUMNS, lines), "\n".join(f"* {note}" for note in notes)]
    return "\n\n".join(parts) + "\n"


def _limits(limits: Limits) -> str:
    threads = sorted(limits.memory)
    kinds = sorted({kind for kind, _ in limits.products})
    header = ("", *(f"{n} thread{'s' * (n > 1)}" for n in threads))
    lines = []
    for kind in kinds:
        lines.append((f"matrix products, {kind}", *(f"{limits.products[kind, n] / 1e9:.0f} GOP/s" for n in threads)))
    lines.append(("memory", *(f"{limits.memory[n] / 1e9:.1f} GB/s" for n in threads)))
    return table(header, lines)


_STAGES = {
    "hop": "**hop while the clip is read and text decoded**",
    "scale": "scaling the frame (nothing when the source did it)",
    "encode": "X-encoder: frame graph and clip graph",
    "predict": "predictor",
    "overhead": "all else: window, policy, locks, counting",
    "policy": "the policy alone, part of all else",
    "decode": "Y-decoder, one text, beside the hop",
}


def _hop(hop: dict[str, Any]) -> str:
    percentiles = ("p50", "p90", "p99")
    lines = [
        (words, *(milliseconds(hop["latency_ms"][stage][p]) for p in percentiles))
        for stage, words in _STAGES.items()
        if stage in hop["latency_ms"]
    ]
    told = (
        f"The clip streamed from its file, {hop['hops']} hops, {hop['decodes']} texts decoded: {hop['realtime']:.1f}x "
        "real time with reading, decoding, scaling and text included (wall time). Reading, the Y-decoder and the hops "
        "share the machine, so this hop is not the hop of the bars, whose frames are pushed with nothing beside them."
    )
    return table(("", *percentiles), lines) + "\n\n" + told
