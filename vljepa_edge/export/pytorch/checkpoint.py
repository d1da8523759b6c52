"""A checkpoint of the complete model (`VLJepa.save_pretrained`), of any size, -> a bundle in fp32 or fp16.

One part at a time, weights written as they come (`streamed`), so the peak of memory is the model and its largest graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from vljepa_edge.bundle.write import write_bundle
from vljepa_edge.errors import ExportError
from vljepa_edge.export.progress import OnStep, told
from vljepa_edge.export.pytorch.streamed import export_streamed, inline
from vljepa_edge.export.pytorch.text_encoder import traceable
from vljepa_edge.export.pytorch.y_decoder import StepModule, step_inputs, tensor, y_decoder_tensors
from vljepa_edge.nn.config import XEncoderConfig, to_dict
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.x_encoder import XEncoder
from vljepa_edge.nn.y_decoder import YDecoder

_TEXT_AXES = {0: "batch", 1: "tokens"}
STARTS = ("<start>", "<|begin_of_text|>", "<s>", "<bos>", "[CLS]", "<|endoftext|>")
ENDS = ("<end>", "<|end_of_text|>", "</s>", "<eos>", "[SEP]", "<|endoftext|>")


@dataclass(frozen=True)
class Tokenizers:
    """The three tokenizers of a bundle, in the format of Hugging Face tokenizers."""

    query: Tokenizer
    target: Tokenizer
    decoder: Tokenizer


@dataclass(frozen=True)
class _Graph:
    """A module with sample inputs, names of its outputs, its free dimensions and its roles in the manifest."""

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    axes: dict[str, dict[int, str]]
    roles: dict[str, dict[str, Any]]


def write_checkpoint(
    model: VLJepa,
    tokenizers: Tokenizers,
    out: Path,
    *,
    bits: int,
    window: int,
    fps: float,
    name: str,
    checkpoint: str | None,
    on_step: OnStep,
) -> Path:
    """Write the bundle at `out`, weights at `bits` (32 or 16). window: frames of a clip, a multiple of the tubelet.

    checkpoint: NAME@COMMIT where the model came from the hub, kept in the bundle's provenance.

    Raises ExportError when the model lacks an X-encoder or a Y-decoder, when the window doesn't fit, when a graph is
    too large for one file, or when a tokenizer says no start or end token.
    """
    if model.x_encoder is None or model.y_decoder is None:
        lacks = "X-encoder" if model.x_encoder is None else "Y-decoder"
        raise ExportError(f"{name} has no {lacks}; a bundle needs X-encoder, predictor, Y-encoder and Y-decoder")
    if not isinstance(model.x_encoder, XEncoder):
        raise ExportError(f"{name} has tiny's X-encoder; a model like that is exported by its training")
    if window % model.x_encoder.config.tubelet:
        raise ExportError(f"a window must be a multiple of {model.x_encoder.config.tubelet} frames, not {window}")
    graphs = _graphs(model, model.y_decoder, window)
    files: dict[str, bytes | Path] = {}
    with TemporaryDirectory(prefix=".vljepa-export-", dir=_existing(out)) as folder:
        for file, graph in told(list(graphs.items()), "exporting graphs", on_step):
            path = Path(folder) / Path(file).name
            export_streamed(graph.module, graph.inputs, graph.outputs, graph.axes, bits, path)
            whole = inline(path)
            path.with_name(path.name + ".data").unlink()
            path.write_bytes(whole)
            files[file] = path
        for role in ("query", "target", "decoder"):
            files[f"tokenizers/{role}.json"] = getattr(tokenizers, role).to_str().encode()
        files["NOTICE"] = _notice(model).encode()
        manifest = _manifest(model, tokenizers, graphs, window, fps)
        if checkpoint is not None:
            manifest["provenance"]["checkpoint"] = checkpoint
        return write_bundle(out, {**manifest, "name": name}, files)


class _Query(nn.Module):
    """Token embeddings of the language model; the mask is the predictor's business."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        found: Tensor = self.embedding(input_ids) * attention_mask[..., None]
        return found


class _Predict(nn.Module):
    def __init__(self, model: VLJepa) -> None:
        super().__init__()
        self.predictor = model.predictor

    def forward(self, x_encoder: Tensor, query_tokens: Tensor, query_mask: Tensor) -> Tensor:
        found: Tensor = self.predictor({"x_encoder": x_encoder}, query_tokens, query_mask)
        return found


class _States(nn.Module):
    """The query read by the Y-encoder's backbone, where there is no language model."""

    def __init__(self, model: VLJepa) -> None:
        super().__init__()
        self.y_encoder = traceable(model.y_encoder)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.y_encoder.token_states(input_ids, attention_mask)


def _graphs(model: VLJepa, decoder: YDecoder, window: int) -> dict[str, _Graph]:
    x_encoder = model.x_encoder
    assert isinstance(x_encoder, XEncoder)  # write_checkpoint has looked
    size, width, embedding = x_encoder.config.size, x_encoder.config.width, model.config.predictor.embedding
    tokens = window // x_encoder.config.tubelet * (size // x_encoder.config.patch) ** 2
    query_dim = model.config.predictor.query_dim
    ids = {"input_ids": torch.ones(2, 5, dtype=torch.long), "attention_mask": torch.ones(2, 5, dtype=torch.long)}
    id_tensors = [tensor(name, "int64", -1, -1) for name in ids]
    text_axes = dict.fromkeys(ids, _TEXT_AXES)
    features = tensor("x_encoder", "float32", 1, tokens, width)
    query = _Query(model.query_embedding) if model.query_embedding is not None else _States(model)
    asked = {
        "x_encoder": torch.zeros(1, tokens, width), "query_tokens": torch.zeros(1, 5, query_dim),
        "query_mask": torch.ones(1, 5, dtype=torch.long),
    }  # fmt: skip
    free = {"query_tokens": {1: "tokens"}, "query_mask": {1: "tokens"}}
    return {
        "graphs/x_encoder.onnx": _Graph(
            x_encoder, {"frames": torch.zeros(1, window, size, size, 3, dtype=torch.uint8)}, ("x_encoder",), {},
            _role("x_encoder_video", "clip", [tensor("frames", "uint8", 1, window, size, size, 3)], [features]),
        ),
        "graphs/query.onnx": _Graph(
            query, ids, ("query_tokens",), {**text_axes, "query_tokens": _TEXT_AXES},
            _role("query", "text", id_tensors, [tensor("query_tokens", "float32", -1, -1, query_dim)]),
        ),
        "graphs/predictor.onnx": _Graph(
            _Predict(model), asked, ("embedding",), free,
            _role(
                "predictor", "clip",
                [
                    features, tensor("query_tokens", "float32", 1, -1, query_dim),
                    tensor("query_mask", "int64", 1, -1),
                ],
                [tensor("embedding", "float32", 1, embedding)],
            ),
        ),
        "graphs/y_encoder.onnx": _Graph(
            traceable(model.y_encoder), ids, ("embedding",), {**text_axes, "embedding": {0: "batch"}},
            _role("y_encoder", "text", id_tensors, [tensor("embedding", "float32", -1, embedding)]),
        ),
        "graphs/y_decoder.onnx": _Graph(
            StepModule(decoder), *step_inputs(decoder), {"y_decoder": {"unit": "step", **y_decoder_tensors(decoder)}},
        ),
    }  # fmt: skip


def _role(role: str, unit: str, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {role: {"unit": unit, "inputs": inputs, "outputs": outputs}}


def _manifest(
    model: VLJepa, tokenizers: Tokenizers, graphs: Mapping[str, _Graph], window: int, fps: float
) -> dict[str, Any]:
    config = model.config
    x_encoder, decoder, language = config.x_encoder, config.y_decoder, config.language_model
    assert isinstance(x_encoder, XEncoderConfig) and decoder is not None  # write_checkpoint has looked
    roles = {role: {"file": file, **entry} for file, graph in graphs.items() for role, entry in graph.roles.items()}
    parts = {"X-encoder": x_encoder.source, "Y-encoder": config.y_encoder.source}
    if language is not None:
        parts["predictor, query embedding"] = language.source
    return {
        "version": version("vljepa-edge"),
        "licence": "see NOTICE",
        "graphs": roles,
        "video": {
            "width": x_encoder.size, "height": x_encoder.size, "resize": "cover",
            "fps": fps, "window": window, "hop": 1,
        },
        "text": {
            "query_tokenizer": "tokenizers/query.json", "target_tokenizer": "tokenizers/target.json",
            "decoder_tokenizer": "tokenizers/decoder.json",
            "query_tokens": config.y_encoder.max_tokens if language is None else language.max_tokens,
            "target_tokens": config.y_encoder.max_tokens,
            "decoder_tokens": decoder.max_tokens - 1,  # the start token takes a place
            "decoder_prefix": decoder.prefix,
            "decoder_start": special_token(tokenizers.decoder, STARTS),
            "decoder_end": special_token(tokenizers.decoder, ENDS),
            "default_query": config.prompts.default_query, "empty_query": "none",
            "target_prompt": config.y_encoder.prompt,
        },
        "embedding": {"width": config.predictor.embedding},
        "licences": [
            {"part": part, "licence": "that of its source", "source": source} for part, source in parts.items()
        ],
        "provenance": {"config": to_dict(config)},
    }  # fmt: skip


def _notice(model: VLJepa) -> str:
    config = model.config
    sources = [config.y_encoder.source]
    sources += [part.source for part in (config.x_encoder, config.language_model) if part is not None]
    return "Weights in this bundle come from, or were trained from, and are under the licences of:\n" + "".join(
        f"* {source}\n" for source in sources
    )


def special_token(tokenizer: Tokenizer, names: tuple[str, ...]) -> int:
    """The id of the first of `names` that the tokenizer has. Raises ExportError for none."""
    for name in names:
        found = tokenizer.token_to_id(name)
        if found is not None:
            return int(found)
    raise ExportError(f"the decoder's tokenizer has none of {', '.join(names)}, which start or end a text")


def _existing(path: Path) -> Path:
    """The folder that `path` goes to, made if need be: working files lie on the same disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.parent
