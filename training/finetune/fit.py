"""The training loop: a predictor is moved towards the texts of clips, and stopped before it knows them by heart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vljepa_edge.kernels.ops.info_nce import info_nce
from vljepa_edge.training.finetune.graph_module import GraphModule
from vljepa_edge.training.steps import Steps

_CHUNK = 64  # windows that are embedded at once where nothing is learned


@dataclass(frozen=True)
class Recipe:
    """scale: the inverse temperature, below a pretraining's, so that few clips are not learned by heart. texts: the
    most texts of other clips that a batch is told from, beside its own. keep: weight of the pull to the
    parent's embeddings, beside a loss of 1 for the user's texts. noise: on what the frozen parts see, as a share of
    each channel's spread. average: how much of the weights' moving average a step keeps. every: steps from one
    validation to the next; patience: validations without a gain that end the training. gradient: the largest norm.
    """

    batch: int = 32
    scale: float = 14.0
    texts: int = 512
    lr: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 20
    keep: float = 0.1
    noise: float = 0.3
    average: float = 0.9
    every: int = 10
    patience: int = 6
    gradient: float = 1.0


class Noise:
    """Normal noise on features, `share` of each channel's standard deviation over the training clips."""

    def __init__(self, examples: Examples, train: NDArray[np.int64], share: float, seed: int) -> None:
        self._made = torch.Generator().manual_seed(seed)
        self._spread: dict[str, Tensor] = {}
        for name, array in examples.streams.items():
            seen = array[np.unique(examples.stretch[train])].astype(np.float32)
            self._spread[name] = share * torch.from_numpy(seen.reshape(-1, seen.shape[-1]).std(0))

    def of(self, name: str, value: Tensor) -> Tensor:
        """For features (N, 1, ..., C) of a stream."""
        return torch.randn(value.shape, generator=self._made) * self._spread[name]


@dataclass(frozen=True)
class Examples:
    """N samples of M stretches of W windows each, with everything that the frozen parts make of them.

    streams: float16 (M, W, 1, ...) by name; stretch: of each sample, (N,). query_tokens (Q, 1, L, D) and query_mask
    (Q, 1, L): the distinct queries, the bundle's own first; query: of each sample, (N,). texts: (C, E) of unit norm,
    the distinct targets; target: which of them is right, (N,). keys, int64 (C,): texts of one key mean the same. also,
    int64 (N, R): more keys that are right for a sample, padded with its own. wrong_texts (X, E): texts that the table
    says are wrong for some sample; wrong, int64 (N, K): which of them for each, padded with -1.
    """

    streams: dict[str, NDArray[np.float16]]
    stretch: NDArray[np.int64]
    query_tokens: Tensor
    query_mask: Tensor
    query: NDArray[np.int64]
    texts: Tensor
    target: NDArray[np.int64]
    keys: Tensor
    also: Tensor
    wrong_texts: Tensor
    wrong: Tensor

    def inputs(
        self, rows: NDArray[np.int64], windows: NDArray[np.int64], query: Tensor, noise: Noise | None = None
    ) -> dict[str, Tensor]:
        """What the graph takes of one window of each row, and the query of each."""
        places = self.stretch[rows]
        found = {
            name: torch.from_numpy(array[places, windows].astype(np.float32)) for name, array in self.streams.items()
        }
        if noise is not None:
            found = {name: value + noise.of(name, value) for name, value in found.items()}
        return {**found, "query_tokens": self.query_tokens[query], "query_mask": self.query_mask[query]}

    @property
    def windows(self) -> int:
        return int(next(iter(self.streams.values())).shape[1])


@dataclass(frozen=True)
class Fitted:
    """steps: how many were taken; best: after which of them validation was best, 0 when no step made it better.
    losses: of each validation, (step, loss)."""

    steps: int
    best: int
    losses: tuple[tuple[int, float], ...]


def fit(
    module: GraphModule,
    examples: Examples,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    *,
    seed: int,
    steps: int,
    recipe: Recipe,
    on_step: Callable[[int], object],
) -> Fitted:
    """Train `module` in place; it ends with the weights that were best on the validation clips, maybe those it had.

    The bundle's own query, number 0 of `examples`, is the one under which the parent's
    embeddings are kept. Raises TrainingError when the loss stays not finite.
    """
    rng = np.random.default_rng(seed)
    known = np.unique(examples.target[train])
    parent = torch.zeros(len(examples.target), examples.windows, examples.texts.shape[1])
    parent[train] = embed(module, examples, train, own=True)
    average = deepcopy(module).requires_grad_(False)
    optimiser = torch.optim.AdamW(module.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    taking = Steps("fine-tuning", module, optimiser, recipe.gradient)
    best = (validation_loss(average, examples, validation, recipe.scale), 0)
    losses = [(0, best[0])]
    kept = _copies(average)
    noise = Noise(examples, train, recipe.noise, seed)
    batches = _batches(train, min(recipe.batch, len(train)), rng)
    step = 0
    for step in range(1, steps + 1):
        rows = next(batches)
        windows = rng.integers(examples.windows, size=len(rows))
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr * _rate(step, steps, recipe.warmup)
        others = rng.permutation(np.setdiff1d(known, examples.target[rows]))[: recipe.texts]
        given = examples.inputs(rows, windows, torch.from_numpy(examples.query[rows]), noise)
        loss_of = partial(_loss, module, examples, rows, given, others, parent[rows, windows], recipe)
        taking.take(loss_of)
        share = min(recipe.average, step / (step + 10))
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), module.parameters(), strict=True):
                slow.lerp_(fast, 1 - share)
        on_step(step)
        if step % recipe.every == 0 or step == steps:
            loss = validation_loss(average, examples, validation, recipe.scale)
            losses.append((step, loss))
            if loss < best[0]:
                best, kept = (loss, step), _copies(average)
            elif step - best[1] >= recipe.patience * recipe.every:
                break
    with torch.no_grad():
        for weight, value in zip(module.parameters(), kept, strict=True):
            weight.copy_(value)
    return Fitted(step, best[1], tuple(losses))


@torch.no_grad()
def embed(module: GraphModule, examples: Examples, rows: NDArray[np.int64], *, own: bool = False) -> Tensor:
    """(n, W, E): embeddings of unit norm of every window of the rows. own: under the bundle's own query."""
    windows = examples.windows
    flat = np.repeat(rows, windows)
    which = np.tile(np.arange(windows), len(rows))
    query = torch.zeros(len(flat), dtype=torch.int64) if own else torch.from_numpy(examples.query[flat])
    found = [
        module.each(examples.inputs(flat[i : i + _CHUNK], which[i : i + _CHUNK], query[i : i + _CHUNK]))["embedding"]
        for i in range(0, len(flat), _CHUNK)
    ]
    return F.normalize(torch.cat(found)[:, 0], dim=-1).reshape(len(rows), windows, -1)


def validation_loss(module: GraphModule, examples: Examples, rows: NDArray[np.int64], scale: float) -> float:
    """Cross-entropy of the right text among all texts, for the mean embedding of each clip's windows."""
    clips = F.normalize(embed(module, examples, rows).mean(1), dim=-1)
    target = torch.from_numpy(examples.target[rows])
    right = (examples.also[rows][:, :, None] == examples.keys).any(1) | (
        examples.keys[target][:, None] == examples.keys
    )
    right[torch.arange(len(rows)), target] = False
    scores = (clips @ examples.texts.T * scale).masked_fill(right, -torch.inf)  # what is right too is not held against
    return float(F.cross_entropy(scores, target))


def _loss(
    module: GraphModule,
    examples: Examples,
    rows: NDArray[np.int64],
    given: dict[str, Tensor],
    others: NDArray[np.int64],
    parent: Tensor,
    recipe: Recipe,
) -> Tensor:
    """others: texts of no clip of the batch, which all of it can be told from since the Y-encoder stands still."""
    predicted = F.normalize(module.each(given)["embedding"][:, 0], dim=-1)
    target, also = torch.from_numpy(examples.target[rows]), examples.also[rows]
    keys = examples.keys[target]
    named = examples.wrong[rows]
    negatives = torch.cat(
        (examples.texts[others][None].expand(len(rows), -1, -1), examples.wrong_texts[named.clamp(min=0)]), 1
    )
    told = torch.cat(((torch.cat((keys[:, None], also), 1)[:, :, None] != examples.keys[others]).all(1), named >= 0), 1)
    loss = info_nce(predicted, examples.texts[target], torch.tensor(recipe.scale), keys, also, negatives, told)
    if not recipe.keep:
        return loss
    free = predicted
    if examples.query[rows].any():
        own = torch.zeros(len(rows), dtype=torch.int64)
        asked = {"query_tokens": examples.query_tokens[own], "query_mask": examples.query_mask[own]}
        free = F.normalize(module.each({**given, **asked})["embedding"][:, 0], dim=-1)
    return loss + recipe.keep * recipe.scale * (1 - (free * parent).sum(-1)).mean()


def _batches(rows: NDArray[np.int64], size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Batches of `size` rows, all rows in a new order before any comes again; what is left over waits for no one."""
    while True:
        order = rng.permutation(rows)
        for first in range(0, len(order) - size + 1, size):
            yield order[first : first + size]


def _rate(step: int, steps: int, warmup: int) -> float:
    """The share of the learning rate: rising, then falling along a cosine."""
    return min(step / warmup, 0.5 * (1 + math.cos(math.pi * (step - 1) / steps)))


def _copies(module: GraphModule) -> list[Tensor]:
    return [weight.detach().clone() for weight in module.parameters()]
