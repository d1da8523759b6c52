"""What a fine-tuning did, for programs and for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """Per cent right on the held-out clips, with the parent's predictor and with the new one. `of`: how many trials.

    chance: what drawing at random gets right.
    """

    name: str
    before: float
    after: float
    chance: float
    of: int


@dataclass(frozen=True)
class FineTuneReport:
    """command: what does the same again. parent: name, version and digest of the bundle that was started from. data:
    the table's name; data_sha256: of the recordings, stretches and texts in it.

    train, validation, held_out: samples; videos: recordings in all. skipped: what could not be read, and why. nameless:
    samples of tars that don't say which recording they are a part of. steps: how many were taken; best_step: the one
    whose weights were kept, 0 when validation never got better: then the parent's predictor was kept.
    validation_losses: (step, loss). classes: whether captions come back, so that the bundle classifies labels as they
    were learned (see training.finetune.write).
    """

    command: str
    parent: str
    data: str
    data_sha256: str
    seed: int
    train: int
    validation: int
    held_out: int
    videos: int
    skipped: tuple[str, ...]
    nameless: int
    steps: int
    best_step: int
    validation_losses: tuple[tuple[int, float], ...]
    figures: tuple[Figure, ...]
    classes: bool
    encode_seconds: float
    train_seconds: float

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the result may not be worth using, in sentences."""
        found = []
        if self.best_step == 0:
            found.append(
                "no step made the validation clips better, so the parent's predictor was kept; more clips, or fewer "
                "texts for them, may help"
            )
        else:
            worse = [figure.name for figure in self.figures if figure.after <= figure.before]
            if worse:
                found.append(f"{', '.join(worse)} on the held-out clips is not better than before")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "problems": list(self.problems)}

    def lines(self) -> list[str]:
        """For a terminal."""
        told = [
            f"{self.train + self.validation + self.held_out} clips of {self.videos} videos: {self.train} to learn "
            f"from, {self.validation} to stop by, {self.held_out} held out",
        ]
        if self.skipped:
            told.append(f"{len(self.skipped)} clips could not be read and were left out")
        if self.nameless:
            told.append(
                f"{self.nameless} samples of tars have no `video` in their JSON, so each counts as a video of its own; "
                "if several are of one, the figures are too good"
            )
        told.append(f"{'on the held-out clips, %':26} {'before':>7} {'after':>7} {'chance':>7}")
        for figure in self.figures:
            what = f"{figure.name} of {figure.of}"
            told.append(f"{what:26} {figure.before:7.1f} {figure.after:7.1f} {figure.chance:7.1f}")
        told.append(
            f"{self.steps} steps, the weights of step {self.best_step} kept; encoding "
            f"{self.encode_seconds:.0f} s, training {self.train_seconds:.0f} s"
        )
        return told
