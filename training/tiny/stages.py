"""The two stages of the paper on cached features: query-free pretraining, then query-conditioned fine-tuning with
replay."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from rich.progress import Progress
from safetensors.torch import load_file
from torch import Tensor, nn

from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.training.losses import info_nce
from vljepa_edge.training.precision import autocast
from vljepa_edge.training.steps import Steps
from vljepa_edge.training.tiny.batches import Sampler
from vljepa_edge.training.tiny.checkpoint import Checkpoint, save_tensors
from vljepa_edge.training.tiny.model import motion_stem
from vljepa_edge.training.tiny.recipe import StageRecipe

_CLIP = 1.0
_AVERAGE = 0.99


def train_stage(
    model: VLJepa, sampler: Sampler, stage: StageRecipe, name: str, folder: Path, report: Callable[[str], None]
) -> None:
    """Train `trained_parts(model)` in place. Ends with the moving average of their weights. A finished stage is loaded;
    one that was interrupted goes on from its last checkpoint and ends with the weights of one that was not.

    A step whose loss or gradient is not finite is not taken. Raises TrainingError after many of them in a row.
    """
    done, parts, motion = folder / f"{name}.safetensors", trained_parts(model), motion_stem(model)
    if done.exists():
        parts.load_state_dict(load_file(done))
        model.eval()
        return
    optimiser = torch.optim.AdamW(
        _groups(parts, stage), lr=stage.lr, weight_decay=stage.weight_decay, betas=(0.9, 0.98)
    )
    average = {k: v.detach().clone() for k, v in parts.state_dict().items()}
    checkpoint = Checkpoint(folder / f"{name}.part.safetensors", parts, optimiser, average)
    first, running = 0, None
    if checkpoint.file.exists():
        first, draws = checkpoint.load()
        sampler.resume(draws)
        report(f"{name}: going on from step {first}")
    model.train()
    if stage.motion_lr == 0:
        motion.eval().requires_grad_(False)
    else:
        motion.requires_grad_(True)
    steps = Steps(name, parts, optimiser, _CLIP)
    with Progress() as bar:
        task = bar.add_task(name, total=stage.steps, completed=first)
        for step in range(first, stage.steps):
            _set_rate(optimiser, stage, step)
            loss = _step(model, sampler, steps)
            if loss is not None:
                running = loss if running is None else 0.97 * running + 0.03 * loss
                _update_average(average, parts)
            bar.update(task, advance=1, description=f"{name}, loss {running or math.nan:.3f}")
            checkpoint.after(step, sampler.draws)
    said = f"{name}: {stage.steps} steps, loss {running or 0:.3f}, temperature {1 / model.scale().item():.3f}"
    report(said + f", {steps.refused} steps refused since they were not finite" * bool(steps.refused))
    parts.load_state_dict(average)
    model.eval()
    save_tensors(average, done)
    checkpoint.clear()


def trained_parts(model: VLJepa) -> nn.ModuleDict:
    """What gradients reach: motion stem, predictor, head of the Y-encoder, temperature. The rest is frozen; what it
    makes of clips and texts is kept beforehand."""
    assert model.y_encoder.head is not None
    parts = nn.ModuleDict({"motion": motion_stem(model), "predictor": model.predictor, "y_head": model.y_encoder.head})
    parts.register_parameter("log_scale", model.log_scale)
    return parts


def _step(model: VLJepa, sampler: Sampler, steps: Steps) -> float | None:
    batch = sampler.batch()

    def loss() -> Tensor:
        with autocast():
            kept = {"appearance": batch.appearance, "luma": batch.luma}
            predicted = model.predict(kept, batch.query, batch.query_mask)
        target, hard = model.encode_text(batch.target), model.encode_text(batch.hard)
        return info_nce(predicted.float(), target, model.scale(), batch.keys, batch.also, hard, batch.hard_mask)

    value = steps.take(loss)
    model.bound_temperature()
    return value


def _groups(parts: nn.Module, stage: StageRecipe) -> list[dict[str, object]]:
    """Parameter groups with a learning rate each; norms, biases and the temperature don't decay."""
    rates = {"motion.": stage.motion_lr, "y_head.": stage.y_encoder_lr, "predictor.stack.": stage.body_lr}
    groups: dict[tuple[float, bool], list[Tensor]] = {}
    for name, parameter in parts.named_parameters():
        if name.startswith("motion.") and stage.motion_lr == 0:
            continue
        rate = next((r for prefix, r in rates.items() if name.startswith(prefix)), 1.0)
        groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "rate": rate, "weight_decay": stage.weight_decay if decays else 0.0}
        for (rate, decays), parameters in groups.items()
    ]


def _set_rate(optimiser: torch.optim.Optimizer, stage: StageRecipe, step: int) -> None:
    factor = min(1.0, (step + 1) / max(1, stage.warmup))
    if stage.cosine:
        factor *= 0.5 + 0.5 * math.cos(math.pi * step / stage.steps)
    for group in optimiser.param_groups:
        group["lr"] = stage.lr * group["rate"] * factor


def _update_average(average: dict[str, Tensor], parts: nn.Module) -> None:
    for name, value in parts.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value.detach(), 1 - _AVERAGE)
        else:
            average[name].copy_(value)
