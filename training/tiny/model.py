"""The trained parts of the tiny model, together: motion stem, predictor, head of the Y-encoder, temperature."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_edge.nn.config import LlamaStackConfig, PredictorConfig, StreamConfig, VLJepaConfig
from vljepa_edge.nn.predictor import Predictor
from vljepa_edge.nn.tiny_streams import MotionStem
from vljepa_edge.training.tiny.recipe import Recipe

EMBEDDING = 384
_MAX_SCALE = 100.0


class TinyModel(nn.Module):
    """What gradients reach. The appearance stream and the sentence encoder are frozen and run beforehand."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.motion = MotionStem(recipe.motion.width).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.predictor = Predictor(predictor_config(recipe, self.motion))
        self.y_head = nn.Linear(EMBEDDING, EMBEDDING)
        nn.init.eye_(self.y_head.weight)
        nn.init.zeros_(self.y_head.bias)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(
        self, appearance: Tensor, luma: Tensor, query: Tensor | None = None, query_mask: Tensor | None = None
    ) -> Tensor:
        """appearance (B, 8, 10, 640), luma (B, 8, 56, 56) in 0 to 1, query (B, L, 384) -> (B, 384) unit rows."""
        streams = {"appearance": appearance, "motion": self.motion(luma)}
        return self.predictor(streams, query, query_mask)  # type: ignore[no-any-return]

    def text(self, sentences: Tensor) -> Tensor:
        """Sentence embeddings (..., 384) of the frozen encoder -> targets (..., 384), unit rows."""
        return F.normalize(self.y_head(sentences).float(), dim=-1)

    def scale(self) -> Tensor:
        """The inverse temperature of the loss."""
        return self.log_scale.exp()

    @torch.no_grad()
    def bound_temperature(self) -> None:
        """Bring the inverse temperature back to its bound where a step went beyond. Bounded in `scale` instead, its
        gradient would be 0 there and it could not come back."""
        self.log_scale.clamp_(max=math.log(_MAX_SCALE))


def predictor_config(recipe: Recipe, motion: MotionStem) -> PredictorConfig:
    """The tiny preset with the recipe's body and motion stem."""
    body, preset = recipe.predictor, VLJepaConfig.tiny().predictor
    if body.body == "smollm2":
        stack = LlamaStackConfig(
            576, body.layers, 9, 3, 1536, rope_theta=100_000.0, max_positions=preset.stack.max_positions
        )
    else:
        stack = replace(
            preset.stack, hidden=body.hidden, layers=body.layers, heads=body.heads, kv_heads=body.heads, ffn=body.ffn
        )
    appearance, _ = preset.streams
    streams = (appearance, StreamConfig("motion", motion.width, positions=(1, motion.tokens)))
    return replace(preset, streams=streams, stack=stack, dropout=body.dropout)
