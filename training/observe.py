"""What a run shows and keeps: a progress line, a JSON line a measured step, TensorBoard if asked for, curves as a
picture."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vljepa_edge.errors import InputError
from vljepa_edge.support.atomic import replacing

_SMOOTH = 0.1  # weight of the newest step in what the progress line shows
_CELL = (4.2, 2.2)  # of a curve, inches


class Observer:
    """Of rank 0; on other ranks `quiet` makes it say and write nothing."""

    def __init__(self, folder: Path, *, quiet: bool, tensorboard: bool = False) -> None:
        self._file, self._picture, self._quiet = folder / "log.jsonl", folder / "curves.png", quiet
        self._full = False
        self._board = _board(folder) if tensorboard and not quiet else None
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=Console(stderr=True), disable=quiet,
        )  # fmt: skip
        self._task: TaskID | None = None
        self._rate = math.nan
        self.waited = 0.0
        self.seconds = 0.0
        self.samples = 0

    def __enter__(self) -> Observer:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if self._board is not None:
            self._board.close()

    def say(self, text: str) -> None:
        """A line for people, above the progress."""
        if not self._quiet:
            self._bar.console.print(text, highlight=False, markup=False)

    def begin(self, stage: str, first: int, steps: int) -> None:
        """A stage begins, or goes on from step `first`."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(stage, total=steps, completed=first)
        self._rate, self.waited, self.seconds, self.samples = math.nan, 0.0, 0.0, 0

    def step(
        self, stage: str, step: int, values: Mapping[str, float], *, samples: int, seconds: float, waited: float,
        mfu: float | None, keep: bool,
    ) -> None:  # fmt: skip
        """A step was taken. values: loss, learning rate and the like; keep: whether they go to the log."""
        rate = samples / seconds
        self._rate = rate if math.isnan(self._rate) else (1 - _SMOOTH) * self._rate + _SMOOTH * rate
        self.waited += waited
        self.seconds += seconds
        self.samples += samples
        if self._task is not None:
            share = 100 * self.waited / self.seconds
            used = "" if mfu is None else f", MFU {100 * mfu:.0f} %"
            text = (
                f"{stage}, loss {values['loss']:.3f}, {self._rate:.3g} samples/s, waiting for data {share:.0f} %{used}"
            )
            self._bar.update(self._task, completed=step + 1, description=text)
        if keep:
            found = {**values, "samples_per_s": round(rate, 3), "data_wait": round(waited / seconds, 4)}
            self.write({"stage": stage, "step": step, **found, **({} if mfu is None else {"mfu": round(mfu, 4)})})

    def advance(self, done: int, total: int) -> None:
        """Of what has no loss: so much of it is done."""
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total)

    def decoder_step(self, step: int, loss: float) -> None:
        """The Y-decoder took a step; every tenth goes to the log."""
        if self._task is not None:
            self._bar.update(self._task, completed=step + 1, description=f"y_decoder, loss {loss:.3f}")
        if step % 10 == 0:
            self.write({"stage": "y_decoder", "step": step, "loss": loss})

    def write(self, record: Mapping[str, Any]) -> None:
        """One JSON line; a number that is not finite is null, as in every JSON of this package. What can't be written,
        as on a full disk, is said once and left out."""
        if self._quiet:
            return
        plain = {key: None if isinstance(value, float) and not math.isfinite(value) else value
                 for key, value in {**record, "time": round(time.time(), 3)}.items()}  # fmt: skip
        try:
            with self._file.open("a", encoding="utf-8") as file:
                file.write("\n" * self._full + json.dumps(plain) + "\n")  # behind half a line
            self._full = False
            if self._board is not None and "step" in record:
                for key, value in plain.items():
                    if isinstance(value, (int, float)) and key not in ("step", "time"):
                        self._board.add_scalar(f"{record.get('stage', 'run')}/{key}", value, record["step"])
        except OSError as error:
            if not self._full:
                self.say(f"the log can't be written, lines are missing from here on: {error}")
            self._full = True

    def draw(self) -> None:
        """The curves of the log as a picture, where it can be written."""
        if self._quiet:
            return
        try:
            draw_curves(self._file, self._picture)
        except OSError as error:
            self.say(f"the curves could not be drawn: {error}")


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError("tensorboard: true needs the extra; to get it, run: pip install tensorboard") from error
    return SummaryWriter(folder / "tensorboard")


def read_log(file: Path) -> dict[str, dict[str, dict[int, float]]]:
    """stage -> name -> step -> value; of a step that was done twice, after an interruption, the last one counts. A last
    line that was cut off is left out."""
    curves: dict[str, dict[str, dict[int, float]]] = {}
    for line in file.read_text("utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if "stage" not in record or "step" not in record:
            continue
        for key, value in record.items():
            if key not in ("stage", "step", "time") and isinstance(value, (int, float)):
                curves.setdefault(record["stage"], {}).setdefault(key, {})[record["step"]] = float(value)
    return curves


def draw_curves(log: Path, picture: Path) -> None:
    """Every curve of the log as one PNG: a row a name, a column a stage."""
    from matplotlib.figure import Figure

    curves = read_log(log)
    names = sorted({name for own in curves.values() for name in own})
    if not names:
        return
    wide, high = _CELL[0] * len(curves), _CELL[1] * len(names)
    figure = Figure(figsize=(wide, high))
    # Margins in inches, since to fit them takes longer than to draw.
    figure.subplots_adjust(0.7 / wide, 0.3 / high, 1 - 0.15 / wide, 1 - 0.3 / high, wspace=0.3, hspace=0.35)
    axes = figure.subplots(len(names), len(curves), squeeze=False)
    for column, (stage, own) in enumerate(curves.items()):
        for row, name in enumerate(names):
            at, points = axes[row][column], own.get(name, {})
            steps = sorted(points)
            at.plot(steps, [points[step] for step in steps], linewidth=1)
            at.set_title(f"{stage}: {name}", fontsize=8)
            at.tick_params(labelsize=7)
            at.locator_params(nbins=5)
    with replacing(picture) as part:
        figure.savefig(part, format="png", dpi=110)
