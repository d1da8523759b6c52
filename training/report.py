"""What a run came to."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainReport:
    """What a run came to. model: the finished checkpoint, a file for a run of tokens; None for a run that a signal
    stopped. stopped_by: that signal. figures: of the last evaluation. corrupt: samples that could not be read."""

    folder: Path
    model: Path | None
    steps: int
    refused: int
    corrupt: int
    figures: dict[str, float]
    stopped_by: int | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        plain = dataclasses.asdict(self)
        return plain | {"folder": str(self.folder), "model": None if self.model is None else str(self.model)}

    def lines(self) -> list[str]:
        """For people."""
        if self.model is None and self.steps == 0:
            return ["stopped before the first step; features that were computed are kept: run the same command again"]
        if self.model is None:
            return [f"stopped after {self.steps} steps and saved; to go on, add --resume latest"]
        curves = f"{self.steps} steps; curves in {self.folder / 'curves.png'}"
        if self.model.is_file():
            return [curves, f"the token predictor is in {self.model}; it is for comparison and makes no bundle"]
        return [
            curves,
            f"the model is in {self.model}; to make a bundle of it, run: vljepa export {self.model} --out my.vljepa",
        ]
