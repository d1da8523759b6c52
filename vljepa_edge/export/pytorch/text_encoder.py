"""A Y-encoder that can be traced: transformers makes Gemma 3's masks (EmbeddingGemma) with vmap, which can't be."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from vljepa_edge.kernels.ops.bidirectional_attention import MASKED
from vljepa_edge.nn.y_encoder import YEncoder


class _BothWays(nn.Module):
    """A Gemma 3 backbone without its causal mask, given the masks of its full and its sliding layers ready-made."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.config: Any = backbone.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        """As of the backbone."""
        length = input_ids.shape[1]
        place = torch.arange(length, device=input_ids.device)
        near = (place[:, None] - place[None, :]).abs() < self.config.sliding_window
        seen = attention_mask[:, None, None, :].bool().expand(-1, 1, length, -1)
        masks = {"full_attention": _bias(seen), "sliding_attention": _bias(seen & near)}
        return self.backbone(input_ids=input_ids, attention_mask=masks)


def needs_f32(encoder: YEncoder) -> bool:
    """Whether fp16 is too narrow for it: the activations of Gemma 3 reach 800,000."""
    config: Any = encoder.backbone.config
    return str(config.model_type).startswith("gemma3")


def traceable(encoder: YEncoder) -> YEncoder:
    """The same Y-encoder, weights shared, in a form that torch.onnx can trace."""
    config: Any = encoder.backbone.config
    if config.model_type != "gemma3_text" or not config.use_bidirectional_attention:
        return encoder
    made = copy.copy(encoder)
    made._modules = dict(encoder._modules)
    made.backbone = _BothWays(encoder.backbone)
    return made


def _bias(seen: Tensor) -> Tensor:
    bias: Tensor = (1.0 - seen.float()) * MASKED
    return bias
