"""The default's config and its model, built of the frozen parts that the work folder has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from vljepa_edge.nn.config import LlamaStackConfig, PredictorConfig, VLJepaConfig
from vljepa_edge.nn.tiny_streams import AppearanceStream, MotionStem, TinyStreams
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.x_encoder_config import TinyStreamsConfig
from vljepa_edge.training.tiny.recipe import PredictorRecipe, Recipe

EMBEDDING = VLJepaConfig.tiny().predictor.embedding


def new_model(recipe: Recipe, sentence_encoder: nn.Module, appearance: AppearanceStream | None = None) -> VLJepa:
    """The recipe's model, what trains in it untrained and without a Y-decoder.

    sentence_encoder: from transformers; appearance: with what was fitted to the data. Both are frozen and shared, not
    copied. Training on kept features needs no appearance.
    """
    config = model_config(recipe)
    hf: Any = sentence_encoder.config
    model = VLJepa(replace(config, y_encoder=replace(config.y_encoder, architecture=hf.to_dict())))
    model.y_encoder.backbone = sentence_encoder.requires_grad_(False).eval()
    if appearance is not None:
        streams(model).appearance = appearance.requires_grad_(False)
    return model


def streams(model: VLJepa) -> TinyStreams:
    """The X-encoder of a model of the default's shape."""
    assert isinstance(model.x_encoder, TinyStreams)
    return model.x_encoder


def motion_stem(model: VLJepa) -> MotionStem:
    """The trained part of the X-encoder."""
    stem: MotionStem = streams(model).motion
    return stem


def model_config(recipe: Recipe) -> VLJepaConfig:
    """The preset with the recipe's body and motion stem, and no Y-decoder yet: its vocabulary comes from the data."""
    preset = VLJepaConfig.tiny()
    x_encoder = TinyStreamsConfig(motion_width=recipe.motion.width)
    return replace(
        preset, x_encoder=x_encoder, y_decoder=None, predictor=_predictor(preset.predictor, recipe.predictor, x_encoder)
    )


def _predictor(preset: PredictorConfig, body: PredictorRecipe, x_encoder: TinyStreamsConfig) -> PredictorConfig:
    if body.body == "smollm2":
        stack = LlamaStackConfig(
            576, body.layers, 9, 3, 1536, rope_theta=100_000.0, max_positions=preset.stack.max_positions
        )
    else:
        stack = replace(
            preset.stack, hidden=body.hidden, layers=body.layers, heads=body.heads, kv_heads=body.heads, ffn=body.ffn
        )
    appearance, motion = preset.streams
    found = (appearance, replace(motion, dim=x_encoder.streams()["motion"]))
    return replace(preset, streams=found, stack=stack, dropout=body.dropout)
