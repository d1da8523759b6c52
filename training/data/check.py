"""Opens every sample of a source, as `vljepa data check` does, and says which can't be trained on."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from vljepa_edge.errors import DataError, FrameError, VideoError
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.data.sources.listed import FileSource
from vljepa_edge.video.stretch import FramePlan

_SIZE = 32  # pixels a side: scaling is not what is looked at

OnStep = Callable[[str, int, int], None]
"""What is done, how many are done, how many there are."""


class Fault(NamedTuple):
    """A sample that can't be trained on: in which file and line or sample, and why."""

    file: str
    place: str
    reason: str


@dataclass
class Report:
    """What a source holds. seconds: of the stretches of those that can be read."""

    source: str
    samples: int = 0
    faults: list[Fault] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    targets: int = 0
    """Texts that differ."""
    queries: int = 0
    """Samples that have one."""

    @property
    def good(self) -> bool:
        """Nothing is wrong, and nothing was left out."""
        return not self.faults and not self.left_out

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "source": self.source,
            "samples": self.samples,
            "faults": [fault._asdict() for fault in self.faults],
            "left_out": self.left_out,
            "seconds": self._durations(),
            "targets": self.targets,
            "queries": self.queries,
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        for fault in self.faults:
            yield f"{fault.file}, {fault.place}: {fault.reason}"
        for what, count in self.left_out.items():
            yield f"left out: {count} {what}"
        faults = f"{len(self.faults)} fault{'s' * (len(self.faults) != 1)}"
        yield f"{self.samples} samples, {self.targets} different texts, {self.queries} queries, {faults}"
        if self.seconds:
            found = self._durations()
            yield (
                f"{found['total']:.1f} s in all; a sample {found['least']:.2f} to {found['most']:.2f} s, "
                f"{found['median']:.2f} s in the middle"
            )

    def _durations(self) -> dict[str, float]:
        if not self.seconds:
            return {}
        return {
            "total": sum(self.seconds),
            "least": min(self.seconds),
            "median": statistics.median(self.seconds),
            "most": max(self.seconds),
        }


def check(
    spec: str | Path | Mapping[str, Any], frames: int = 8, workers: int = 2, on_step: OnStep | None = None
) -> Report:
    """Reads `frames` frames of each sample of a source, see `open_source`.

    Raises InputError, and DataError for a source that can't be opened.
    """
    rows: list[DataError] = []
    source = open_source(spec, rows)
    report = Report(source.name, len(source), left_out=dict(source.left_out))
    report.faults += [Fault(error.file, error.place, str(error).partition(f"{error.place}: ")[2]) for error in rows]
    plan = FramePlan(frames, _SIZE, _SIZE)
    targets = set()
    with ThreadPoolExecutor(workers) as pool:  # decoders release the interpreter's lock
        waiting = pool.map(lambda index: _seconds(source, index, plan), range(len(source)))
        try:
            for number, found in enumerate(waiting):
                sample = source[number]
                targets.add(sample.target)
                report.queries += bool(sample.query)
                if isinstance(found, float):
                    report.seconds.append(found)
                else:
                    report.faults.append(Fault(source.name, f"sample {sample.key}", found))
                if on_step is not None:
                    on_step("samples", number + 1, len(source))
        except BaseException:  # Ctrl-C does not wait for the rest
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    report.targets = len(targets)
    return report


def _seconds(source: FileSource, index: int, plan: FramePlan) -> float | str:
    """How long a sample's stretch is, or why it can't be read."""
    sample = source[index]
    try:
        source.frames(sample, plan)
        start = sample.start or 0.0
        end = source.duration(sample)
        return (end if sample.end is None else min(end, sample.end)) - start
    except (VideoError, FrameError) as error:
        return str(error)
    except OSError as error:
        return f"{sample.media}: {error.strerror or error}"
