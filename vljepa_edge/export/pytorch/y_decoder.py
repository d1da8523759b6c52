"""The Y-decoder as a graph with a key-value cache: each step reads the latest tokens only."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vljepa_edge.export.pytorch.graph import Graph, role, tensor
from vljepa_edge.nn.y_decoder import YDecoder


class _Step(nn.Module):
    """`YDecoder.step` as a forward."""

    def __init__(self, decoder: YDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, embedding: Tensor, ids: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        return self.decoder.step(embedding, ids, past)


def y_decoder_graph(decoder: YDecoder) -> Graph:
    """embedding (1, E), ids (1, N), past (1, C, P, D) -> logits (1, vocab), present (1, C, P + N, D), prefix included.

    One graph for the first step (P = 0, where the prefix goes in) and the rest.
    """
    config, stack = decoder.config, decoder.stack
    cache = 1, stack.cache_rows, -1, stack.config.head_size
    given = {
        "embedding": torch.zeros(1, config.embedding),
        "ids": torch.ones(1, 2, dtype=torch.long),
        "past": torch.zeros(1, stack.cache_rows, 3, stack.config.head_size),
    }
    inputs = [
        tensor("embedding", "float32", 1, config.embedding), tensor("ids", "int64", 1, -1),
        tensor("past", "float32", *cache),
    ]  # fmt: skip
    outputs = [tensor("logits", "float32", 1, config.vocab), tensor("present", "float32", *cache)]
    axes = {"ids": {1: "tokens"}, "past": {2: "past"}, "present": {2: "present"}}
    return Graph(_Step(decoder), given, ("logits", "present"), {"y_decoder": role("step", inputs, outputs)}, axes)
