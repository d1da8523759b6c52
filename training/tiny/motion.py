"""Pretraining of the motion stem: which of the motions a clip of brightness shows, and how many things, as classes."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.progress import Progress
from torch import nn

from vljepa_edge.evaluation.ranks import first
from vljepa_edge.nn.tiny_streams import MotionStem
from vljepa_edge.training.precision import autocast
from vljepa_edge.training.steps import Steps
from vljepa_edge.training.tiny.captions import BACKWARDS, MAX_COUNT, MOTIONS, Scene
from vljepa_edge.training.tiny.recipe import MotionRecipe
from vljepa_edge.training.tiny.variation import MIRRORED

_BACK = np.array([MOTIONS.index(BACKWARDS[m]) for m in MOTIONS])
_SIDES = np.array([MOTIONS.index(MIRRORED.get(m, m)) for m in MOTIONS])


class _Classifier(nn.Module):
    def __init__(self, stem: MotionStem) -> None:
        super().__init__()
        self.stem = stem
        self.motion = nn.Linear(stem.tokens * stem.width, len(MOTIONS))
        self.count = nn.Linear(stem.tokens * stem.width, MAX_COUNT)

    def forward(self, luma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = self.stem(luma).flatten(1)
        return self.motion(h), self.count(h)


def _loss(
    net: _Classifier, luma: torch.Tensor, motion: torch.Tensor, count: torch.Tensor, count_weight: float
) -> torch.Tensor:
    with autocast():
        by_motion, by_count = net(luma)
        loss = F.cross_entropy(by_motion.float(), motion, label_smoothing=0.05)
        return loss + count_weight * F.cross_entropy(by_count.float(), count)


def pretrain_motion(
    stem: MotionStem,
    luma: NDArray[np.uint8],
    scenes: list[Scene],
    test: tuple[NDArray[np.uint8], list[Scene]],
    recipe: MotionRecipe,
    seed: int,
) -> tuple[float, float]:
    """Train `stem` in place; returns the shares of test clips whose motion and whose count is right.

    A step whose loss or gradient is not finite is not taken. Raises TrainingError after many of them in a row.
    """
    rng = np.random.default_rng(seed)
    net = _Classifier(stem).train()
    motion = np.array([MOTIONS.index(s.motion) for s in scenes])
    count = np.array([s.total() - 1 for s in scenes])
    optimiser = torch.optim.AdamW(net.parameters(), recipe.lr / 2, weight_decay=0.05)
    steps = recipe.epochs * (len(luma) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.lr, steps)
    taken = Steps("motion stem", net, optimiser)
    with Progress() as bar:
        task = bar.add_task("motion stem", total=steps)
        for _ in range(recipe.epochs):
            order = rng.permutation(len(luma))
            for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
                rows = order[start : start + recipe.batch]
                x, y = luma[rows].copy(), motion[rows].copy()
                back, side = rng.random(len(rows)) < 0.5, rng.random(len(rows)) < 0.5
                x[back], y[back] = x[back][:, ::-1], _BACK[y[back]]
                x[side], y[side] = x[side][..., ::-1], _SIDES[y[side]]
                gain = torch.from_numpy(rng.uniform(0.7, 1.3, (len(rows), 1, 1, 1))).float()
                wanted = torch.from_numpy(y), torch.from_numpy(count[rows])
                loss = taken.take(partial(_loss, net, _to_float(x) * gain, *wanted, recipe.count_weight))
                schedule.step()
                bar.update(task, advance=1, description=f"motion stem, loss {loss or math.nan:.2f}")
    net.eval()
    logits: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    with torch.inference_mode():
        for start in range(0, len(test[0]), 100):
            for made, kept in zip(net(_to_float(test[0][start : start + 100])), logits, strict=True):
                kept.append(made)
    motions = first(torch.cat(logits[0]).numpy(), [MOTIONS.index(scene.motion) for scene in test[1]])
    counts = first(torch.cat(logits[1]).numpy(), [scene.total() - 1 for scene in test[1]])
    return float(motions.mean()), float(counts.mean())


def _to_float(luma: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 brightness -> 0..1."""
    return torch.from_numpy(luma).float() / 255.0
