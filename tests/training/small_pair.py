"""A small pair of encoders in float64, shaped as what is trained: layers, dropout, a temperature, and a projection of
the query that gets no gradient."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_edge.training.gather import Gathering
from vljepa_edge.training.losses import info_nce

WIDTH = 6


class Rows(NamedTuple):
    """video (b, 6), text (b, 6), keys (b,)"""

    video: Tensor
    text: Tensor
    keys: Tensor


class Embeddings(NamedTuple):
    predicted: Tensor
    target: Tensor
    scale: Tensor
    keys: Tensor
    more: Tensor | None = None


class Layer(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.linear, self.dropout = nn.Linear(WIDTH, WIDTH), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.dropout(torch.tanh(self.linear(x)))


class Pair(nn.Module):
    def __init__(self, dropout: float = 0.0, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(1)
            self.layers = nn.ModuleList(Layer(dropout) for _ in range(3))
            self.query, self.head, self.text = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.log_scale = nn.Parameter(torch.full((1,), 2.0))
        self.to(dtype)

    def forward(self, rows: Rows) -> Embeddings:
        x = rows.video
        for layer in self.layers:
            x = layer(x)
        predicted, target = F.normalize(self.head(x), dim=-1), F.normalize(self.text(rows.text), dim=-1)
        return Embeddings(predicted, target, self.log_scale.exp(), rows.keys[:, None])


def rows(count: int, seed: int = 0) -> Rows:
    rng = torch.Generator().manual_seed(seed)
    video, text = (torch.randn((count, WIDTH), generator=rng, dtype=torch.float64) for _ in range(2))
    return Rows(video, text, torch.randint(5, (count,), generator=rng))


def cut(whole: Rows, counts: tuple[int, ...]) -> list[Rows]:
    """Into parts of so many rows."""
    return [Rows(*parts) for parts in zip(*(tensor.split(counts) for tensor in whole), strict=True)]


def loss_of(embeddings: Embeddings) -> Tensor:
    """InfoNCE over the rows of all ranks; of one process the loss itself."""
    gathering = Gathering.of(len(embeddings.predicted), embeddings.predicted.device)
    keys = embeddings.keys[:, 0]
    loss = info_nce(
        embeddings.predicted, embeddings.target, embeddings.scale, keys,
        all_predicted=gathering(embeddings.predicted), all_target=gathering(embeddings.target),
        all_keys=gathering(keys), offset=gathering.offset,
    )  # fmt: skip
    return loss * gathering.share
