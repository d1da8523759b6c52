"""The Y-decoder as a graph with a key-value cache: each step reads the latest tokens only."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vljepa_edge.export.pytorch.trace import export_module
from vljepa_edge.nn.y_decoder import YDecoder


class StepModule(nn.Module):
    """`YDecoder.step` as a forward."""

    def __init__(self, decoder: YDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, embedding: Tensor, ids: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        return self.decoder.step(embedding, ids, past)


def export_y_decoder(decoder: YDecoder) -> bytes:
    """embedding (1, E), ids (1, N), past (1, C, P, D) -> logits (1, vocab), present (1, C, P + N, D), prefix included.

    One graph for the first step (P = 0, where the prefix goes in) and the rest.
    """
    return export_module(StepModule(decoder), *step_inputs(decoder))


def step_inputs(decoder: YDecoder) -> tuple[dict[str, Tensor], tuple[str, ...], dict[str, dict[int, str]]]:
    """Sample inputs, names of the outputs and free dimensions, as an exporter wants them."""
    config, stack = decoder.config, decoder.stack
    given = {
        "embedding": torch.zeros(1, config.embedding),
        "ids": torch.ones(1, 2, dtype=torch.long),
        "past": torch.zeros(1, stack.cache_rows, 3, stack.config.head_size),
    }
    return given, ("logits", "present"), {"ids": {1: "tokens"}, "past": {2: "past"}, "present": {2: "present"}}


def y_decoder_tensors(decoder: YDecoder) -> dict[str, Any]:
    """Inputs and outputs for the manifest."""
    config, stack = decoder.config, decoder.stack
    cache = 1, stack.cache_rows, -1, stack.config.head_size
    return {
        "inputs": [
            tensor("embedding", "float32", 1, config.embedding), tensor("ids", "int64", 1, -1),
            tensor("past", "float32", *cache),
        ],
        "outputs": [tensor("logits", "float32", 1, config.vocab), tensor("present", "float32", *cache)],
    }  # fmt: skip


def tensor(name: str, dtype: str, *shape: int) -> dict[str, Any]:
    """A tensor as the manifest writes it; -1 is free."""
    return {"name": name, "shape": list(shape), "dtype": dtype}
