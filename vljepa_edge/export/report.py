"""What an export has measured, as the manifest keeps it and as lines for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vljepa_edge.export.int8.fidelity import Fidelity
from vljepa_edge.export.int8.sensitivity import LayerChoice
from vljepa_edge.export.int8.speed import Speed


@dataclass(frozen=True)
class GraphReport:
    """One graph file: its layers, how close the outputs of what is stored are to fp32 token by token, and for the
    X-encoder the embeddings that come of them, and what it cost to make."""

    file: str
    layers: tuple[LayerChoice, ...]
    outputs: dict[str, Fidelity]
    smoothed: int
    bytes_before: int
    bytes_after: int
    seconds: float


@dataclass(frozen=True)
class Attempt:
    """What was asked of what every graph is for (see comparison.py), and why the gate refused it; empty: it didn't."""

    target: Fidelity
    problems: tuple[str, ...]


@dataclass(frozen=True)
class ExportReport:
    """An INT8 export. `tried`: the attempts, the last of which the rest is about. `agreement`: of embeddings on other
    engines with OpenVINO's. `bytes_16`: the source's graphs with every weight at 16 bits, since a source may hold some
    at 8 already."""

    source: str
    engine: str
    clips_fit: int
    clips_held_out: int
    tried: tuple[Attempt, ...]
    parts: tuple[GraphReport, ...]
    embeddings: dict[str, Fidelity]
    agreement: dict[str, Fidelity]
    speed: dict[str, Speed]
    bytes_before: int
    bytes_16: int
    bytes_after: int
    seconds: float
    peak_bytes: int | None
    figures_before: dict[str, float] = field(default_factory=dict)
    figures_after: dict[str, float] | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """Why it may not ship."""
        return self.tried[-1].problems

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, rounded to what the measurement holds."""
        rounded: dict[str, Any] = _rounded(dataclasses.asdict(self))
        return rounded | {"problems": list(self.problems)}

    def lines(self) -> Iterator[str]:
        """For people: each layer, each part, the complete model, speed, figures, problems."""
        for attempt in self.tried[:-1]:
            asked = f"{attempt.target.mean} mean, {attempt.target.worst} worst token"
            yield f"refused with graphs at a cosine of {asked}: {'; '.join(attempt.problems)}"
        for part in self.parts:
            yield from _part_lines(part)
        yield f"complete model, {self.clips_held_out} held-out clips, on {self.engine}, against fp32:"
        for kind, found in self.embeddings.items():
            yield f"  {kind:28} cosine {found.mean:.5f} mean, {found.worst:.5f} worst"
        for name, found in self.agreement.items():
            yield f"  {'agrees with ' + name:28} cosine {found.mean:.5f} mean, {found.worst:.5f} worst"
        yield (
            f"size {self.bytes_before / 1e6:.1f} MB ({self.bytes_16 / 1e6:.1f} MB with every weight at 16 bits) -> "
            f"{self.bytes_after / 1e6:.1f} MB, {self.bytes_after / self.bytes_16:.2f}x of 16 bits"
        )
        yield "speed on this machine, 16-bit form against INT8, interleaved:"
        for stage, speed in self.speed.items():
            slower = "  INT8 IS SLOWER" if speed.times < 1 else ""
            yield f"  {stage:28} {speed.ms_16:8.2f} ms -> {speed.ms_8:8.2f} ms  {speed.times:.2f}x{slower}"
        if self.figures_after is None:
            yield "model card: not measured"
        else:
            for name, value in self.figures_before.items():
                yield f"  {name:40} {value:6.1f} -> {self.figures_after.get(name, float('nan')):6.1f}"
        memory = "" if self.peak_bytes is None else f", peak memory {self.peak_bytes / 1e6:.0f} MB"
        yield f"took {self.seconds:.0f} s{memory}"
        yield from (f"PROBLEM: {problem}" for problem in self.problems)


def _part_lines(part: GraphReport) -> Iterator[str]:
    kept = sum(layer.bits == 16 for layer in part.layers)
    yield (
        f"{part.file}: {len(part.layers) - kept} layers at 8 bits, {kept} at 16, {part.smoothed} inputs smoothed, "
        f"{part.bytes_before / 1e6:.1f} MB -> {part.bytes_after / 1e6:.1f} MB, {part.seconds:.0f} s"
    )
    for name, found in part.outputs.items():
        yield f"  {'output ' + name:64} {found.mean:.5f} mean, {found.worst:.5f} worst token"
    for layer in sorted(part.layers, key=lambda item: item.alone.mean):
        yield f"  {layer.bits:2} bits  {layer.name[-56:]:56} {layer.alone.mean:.5f} mean, {layer.alone.worst:.5f} worst"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value
