"""The graphs that read texts: query and Y-encoder, one where they are the same network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vljepa_edge.export.pytorch.graph import Graph, role, tensor
from vljepa_edge.export.pytorch.text_encoder import needs_f32, traceable
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.x_encoder_config import TinyStreamsConfig
from vljepa_edge.nn.y_encoder import YEncoder

_AXES = {0: "batch", 1: "tokens"}


class _Query(nn.Module):
    """Token embeddings of the language model; the mask is the predictor's business."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        found: Tensor = self.embedding(input_ids) * attention_mask[..., None]
        return found


class _Text(nn.Module):
    """Both roles of a Y-encoder that reads the query too: token states, and the embedding."""

    def __init__(self, encoder: YEncoder) -> None:
        super().__init__()
        self.y_encoder = traceable(encoder)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        states = self.y_encoder.token_states(input_ids, attention_mask)
        return states, self.y_encoder.embed(self.y_encoder.pool(states, attention_mask, input_ids))


def text_graphs(model: VLJepa) -> dict[str, Graph]:
    """By file."""
    config = model.config
    ids = {"input_ids": torch.ones(2, 5, dtype=torch.long), "attention_mask": torch.ones(2, 5, dtype=torch.long)}
    inputs = [tensor(name, "int64", -1, -1) for name in ids]
    states = tensor("query_tokens", "float32", -1, -1, config.predictor.query_dim)
    embedding = tensor("embedding", "float32", -1, config.predictor.embedding)
    axes = dict.fromkeys((*ids, "query_tokens"), _AXES) | {"embedding": {0: "batch"}}
    if model.query_embedding is None:
        both = role("text", inputs, [states, embedding])
        # Beside tiny's other parts a sentence encoder is most of a bundle; at 8 bits its embeddings keep cosine 0.999.
        bits = 8 if isinstance(config.x_encoder, TinyStreamsConfig) else None
        shared = Graph(
            _Text(model.y_encoder), ids, ("query_tokens", "embedding"), {"query": both, "y_encoder": both}, axes, bits,
            needs_f32(model.y_encoder),
        )  # fmt: skip
        return {"graphs/text.onnx": shared}
    query, target = role("text", inputs, [states]), role("text", inputs, [embedding])
    encoder = traceable(model.y_encoder)
    return {
        "graphs/query.onnx": Graph(
            _Query(model.query_embedding), ids, ("query_tokens",), {"query": query}, _of(axes, *ids, "query_tokens")
        ),
        "graphs/y_encoder.onnx": Graph(
            encoder,
            ids,
            ("embedding",),
            {"y_encoder": target},
            _of(axes, *ids, "embedding"),
            f32=needs_f32(model.y_encoder),
        ),
    }


def _of(axes: dict[str, dict[int, str]], *names: str) -> dict[str, dict[int, str]]:
    return {name: axes[name] for name in names}
