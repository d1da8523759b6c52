"""The tiny model's parts with random weights, all but EfficientNet-Lite0 far smaller than what is shipped."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import nn

from tests.training.tiny_bert import bert, tokenizer
from vljepa_edge.export.pytorch.checkpoint import Tokenizers
from vljepa_edge.nn.config import (
    ConceptConfig,
    LlamaStackConfig,
    PredictorConfig,
    StreamConfig,
    VLJepaConfig,
    YDecoderConfig,
)
from vljepa_edge.nn.efficientnet import EfficientNetLite0
from vljepa_edge.nn.predictor import Predictor
from vljepa_edge.nn.tiny_streams import REGIONS, AppearanceStream, MotionStem, TinyStreams
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.x_encoder_config import TinyStreamsConfig
from vljepa_edge.nn.y_decoder import YDecoder
from vljepa_edge.training.tiny.decoder import word_tokenizer

GRID, HIDDEN, EMBEDDING, CONCEPT = 16, 32, 24, 24
TEXTS = ["The owl moves to the left.", "A red fox.", "What is happening?", "Yes."]
WORDS = [word.strip(".?") for text in TEXTS for word in text.split()]


def efficientnet() -> EfficientNetLite0:
    """Weights that keep the spread of what passes, so that frames differ in the features as they do in the pixels."""
    torch.manual_seed(0)
    net = EfficientNetLite0()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            inputs = module.weight[0].numel()
            nn.init.normal_(module.weight, std=(2.0 / inputs) ** 0.5)
            nn.init.normal_(module.bias, std=0.1)  # type: ignore[arg-type]
    nn.init.normal_(net.classify.weight, std=0.3)
    return net.eval().requires_grad_(False)


def appearance_stream() -> AppearanceStream:
    net = efficientnet()
    classes = F.normalize(torch.randn(1000, CONCEPT), dim=-1)
    return AppearanceStream(net, torch.full((1280,), 0.5), torch.randn(1280, GRID) / 10, classes).eval()


@lru_cache(maxsize=1)
def small_tokenizers() -> Tokenizers:
    return Tokenizers(tokenizer(WORDS), tokenizer(WORDS), word_tokenizer(TEXTS))


@lru_cache(maxsize=1)
def small_tiny() -> VLJepa:
    """A model of the default's shape. Its predictor takes appearance (1, 8, 10, 40), motion (1, 16, 32) and query
    tokens (1, L, 24)."""
    appearance, motion = appearance_stream(), MotionStem(8).eval()
    torch.manual_seed(1)
    config = PredictorConfig(
        streams=(
            StreamConfig("appearance", GRID + CONCEPT, positions=(2, REGIONS), tubelet=4),
            StreamConfig("motion", motion.width, positions=(1, motion.tokens)),
        ),
        query_dim=EMBEDDING,
        embedding=EMBEDDING,
        stack=LlamaStackConfig(HIDDEN, 2, 4, 4, 96, max_positions=128),
        concept=ConceptConfig("appearance", start=GRID, width=CONCEPT, scale=10.0),
    )
    predictor = Predictor(config)
    nn.init.normal_(predictor.head.weight, std=0.1)  # else an untrained predictor repeats its concepts
    spelling = small_tokenizers().decoder.get_vocab_size()
    decoder = YDecoder(YDecoderConfig(spelling, 32, 1, 2, 48, max_tokens=12, embedding=EMBEDDING))
    nn.init.normal_(decoder.tokens.weight, std=0.5)
    sentences = bert(small_tokenizers().query.get_vocab_size(), EMBEDDING)
    head = nn.Linear(EMBEDDING, EMBEDDING)
    model = VLJepa(
        VLJepaConfig(
            x_encoder=TinyStreamsConfig("none", grid=GRID, concept=CONCEPT, motion_width=8),
            predictor=config,
            y_encoder=replace(
                VLJepaConfig.tiny().y_encoder, hidden=EMBEDDING, embedding=EMBEDDING,
                architecture=sentences.config.to_dict(),
            ),
            prompts=VLJepaConfig.tiny().prompts,
        )
    )  # fmt: skip
    assert isinstance(model.x_encoder, TinyStreams)
    model.x_encoder.appearance, model.x_encoder.motion, model.predictor = appearance, motion, predictor
    model.y_encoder.backbone, model.y_encoder.head = sentences, head
    model.attach_y_decoder(decoder)
    with torch.no_grad():
        model.log_scale.fill_(math.log(12.5))
    return model.eval()
