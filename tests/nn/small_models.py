"""Small models from transformers with random weights, of the kinds that the parts are made of."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import (
    BertConfig,
    BertModel,
    Gemma3TextConfig,
    Gemma3TextModel,
    PreTrainedModel,
    VJEPA2Config,
    VJEPA2Model,
)

from vljepa_edge.nn.x_encoder import MEAN, STD


def bert() -> PreTrainedModel:
    """A sentence encoder as MiniLM is."""
    torch.manual_seed(0)
    model: PreTrainedModel = BertModel(
        BertConfig(
            vocab_size=40,
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
            initializer_range=0.3,
        )
    )
    model.train(False)
    return model


def gemma() -> PreTrainedModel:
    """A sentence encoder as EmbeddingGemma is: Gemma 3 without a causal mask."""
    torch.manual_seed(0)
    model: PreTrainedModel = Gemma3TextModel(
        Gemma3TextConfig(
            vocab_size=40,
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=12,
            intermediate_size=32,
            max_position_embeddings=64,
            sliding_window=16,
            layer_types=["sliding_attention", "full_attention"],
            use_bidirectional_attention=True,
            initializer_range=0.3,
        )
    )
    model.train(False)
    return model


def vjepa2(hidden: int = 48, heads: int = 2, size: int = 48) -> VJEPA2Model:
    """V-JEPA 2 with weights large enough that attention and position matter."""
    torch.manual_seed(0)
    config = VJEPA2Config(
        crop_size=size,
        frames_per_clip=8,
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=heads,
        pred_hidden_size=24,
        pred_num_attention_heads=2,
        pred_num_hidden_layers=1,
    )
    model = VJEPA2Model(config)
    model.train(False)
    for parameter in model.encoder.layer.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.15)
        else:
            torch.nn.init.normal_(parameter, 1.0, 0.2)
    return model


def frames(count: int, size: int = 48) -> Tensor:
    """uint8 (2, count, size, size, 3)"""
    torch.manual_seed(1)
    return torch.randint(0, 256, (2, count, size, size, 3), dtype=torch.uint8)


def features(model: VJEPA2Model, video: Tensor) -> Tensor:
    """What transformers makes of uint8 frames."""
    pixels = (video.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    with torch.no_grad():
        found: Tensor = model.get_vision_features(pixels.permute(0, 1, 4, 2, 3))
    return found
