"""Where a run stands, as the header of its checkpoints has it, and which configs may go on from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vljepa_edge.errors import InputError
from vljepa_edge.training.config import RunConfig

_MAY_CHANGE = {"steps", "lr", "schedule", "warmup", "weight_decay", "betas", "clip", "chunk", "cache"}
"""Of a stage that has begun. Of its steps see `position_in`."""


def header_of(config: RunConfig, stage: int, step: int, best: float) -> dict[str, Any]:
    """Of a checkpoint before `step` of the stage of this index. best: the highest score so far."""
    begun = [one.model_dump(mode="json") for one in config.stages[: stage + 1]]
    return {"stage": stage, "step": step, "best": best, "seed": config.seed, "stages": begun}


def position_in(header: Mapping[str, Any], config: RunConfig) -> tuple[int, int, float]:
    """Stage, step and best score of a header.

    Raises InputError for a config with another seed, or with other stages up to this one. Stages after it may be any.
    In one that has begun the learning rate and what goes with it may change, and in the last of them the number of
    steps, to no fewer than were taken.
    """
    stage, step = int(header["stage"]), int(header["step"])
    _require("seed", header.get("seed", config.seed), config.seed)
    if stage >= len(config.stages):
        raise InputError(f"stages must be more than {stage}, as in the run of the checkpoint, got {len(config.stages)}")
    begun = header.get("stages", [])  # headers of 0.8.0 have none
    for number, (had, now) in enumerate(zip(begun, config.stages, strict=False)):
        found = now.model_dump(mode="json")
        for key, value in had.items():
            if key not in _MAY_CHANGE:
                _require(f"stages.{number}.{key}", value, found.get(key))
        if number < stage:
            _require(f"stages.{number}.steps", had["steps"], now.steps)
    if config.stages[stage].steps < step:
        raise InputError(
            f"stages.{stage}.steps must be {step} or more, which were taken, got {config.stages[stage].steps}"
        )
    return stage, step, float(header["best"])


def _require(key: str, had: Any, found: Any) -> None:
    if had != found:
        raise InputError(f"{key} must be {had!r}, as in the run of the checkpoint, got {found!r}")
