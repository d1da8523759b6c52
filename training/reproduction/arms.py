"""Runs arms one by one. The result of each with each seed is one JSON file, so what was made stays made.

WORK/shared/              what arms have in common
WORK/arms/ARM/SEED/       work of one arm with one seed: result.json, and what it needs to go on
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vljepa_edge.errors import DataError, InputError
from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.locked import locked
from vljepa_edge.training.reproduction.experiment import Arm, Report, Results, Setting

RESULT, _SPENT = "result.json", "spent.json"


@dataclass(frozen=True)
class Workplace:
    """data: the folder of tables. work: where everything is kept."""

    data: Path
    work: Path

    def folder(self, arm: Arm, seed: int) -> Path:
        """Of one arm with one seed."""
        return self.work / "arms" / arm.name / str(seed)

    def read(self, arm: Arm, seed: int) -> dict[str, Any] | None:
        """An arm's result; None where there is none yet.

        Raises InputError for one of another recipe or other data, DataError for one that can't be read.
        """
        file = self.folder(arm, seed) / RESULT
        try:
            found: dict[str, Any] = json.loads(file.read_text("utf-8"))
            digest, _ = found["digest"], found["figures"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(file, f"can't be read as the result of an arm ({error}); remove it") from error
        if digest != arm.digest(self.data):
            raise InputError(
                f"{file} must be of this version of the arm {arm.name} and of this data, but it is of another; "
                f"remove {file.parent}, or choose another --work"
            )
        return found

    def make(self, arm: Arm, seed: int, report: Report) -> dict[str, Any]:
        """An arm's result, made now unless it is there; where another process makes it, when that has ended.
        Raises what the arm raises, and as `read` does."""
        folder = self.folder(arm, seed)
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, lambda: report(f"{arm.name}, seed {seed}: another process makes it", 0, 1)):
            return self.read(arm, seed) or self._make(arm, seed, report)

    def _make(self, arm: Arm, seed: int, report: Report) -> dict[str, Any]:
        folder, digest = self.folder(arm, seed), arm.digest(self.data)
        self._begin(folder, digest)
        with _counting(folder / _SPENT) as minutes:
            setting = Setting(self.data, self.work / "shared", folder, seed, report)
            figures = {name: float(value) for name, value in arm.make(setting).items()}
            result = {
                "arm": arm.name, "seed": seed, "digest": digest, "recipe": dict(arm.recipe(self.data)),
                "figures": figures, "cpu_minutes": round(minutes(), 2),
            }  # fmt: skip
            _write(folder / RESULT, result)
        return result

    def results(self, arms: Sequence[Arm], seeds: Sequence[int]) -> Results:
        """The figures that there are. Raises as `read` does."""
        found = {arm.name: {seed: self.read(arm, seed) for seed in seeds} for arm in arms}
        return {
            name: {seed: one["figures"] for seed, one in own.items() if one is not None} for name, own in found.items()
        }

    def _begin(self, folder: Path, digest: str) -> None:
        """What an interrupted arm left must be of the same recipe. Raises InputError."""
        file = folder / "digest"
        if file.exists() and file.read_text("utf-8") != digest:
            raise InputError(f"{folder} must hold work of this version of the arm and of this data; remove it")
        with replacing(file) as part:
            part.write_text(digest, encoding="utf-8")


@contextmanager
def _counting(file: Path) -> Iterator[Callable[[], float]]:
    """Counts processor minutes of this process across interruptions, and of processes that it started and that ended.
    Those that load data end later: what they take comes on top."""
    before = float(json.loads(file.read_text("utf-8"))["cpu_minutes"]) if file.exists() else 0.0
    begun = _cpu()

    def minutes() -> float:
        return before + (_cpu() - begun) / 60

    try:
        yield minutes
    finally:
        _write(file, {"cpu_minutes": minutes()})


def _cpu() -> float:
    ended = os.times()
    return time.process_time() + ended.children_user + ended.children_system


def _write(file: Path, value: Mapping[str, Any]) -> None:
    with replacing(file) as part:
        part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
