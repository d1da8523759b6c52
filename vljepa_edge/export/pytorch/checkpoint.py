"""The complete model (`VLJepa`), of any size, -> a bundle in fp32 or fp16: the graphs that its config says.

One part at a time, the weights of large ones written as they come (`streamed`), so the peak of memory is the model and
its largest graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from vljepa_edge.bundle.write import CARD, write_bundle
from vljepa_edge.errors import ExportError
from vljepa_edge.export.progress import OnStep, told
from vljepa_edge.export.pytorch.graph import Graph, features, role, tensor
from vljepa_edge.export.pytorch.text import text_graphs
from vljepa_edge.export.pytorch.vision import Seen, vision_graphs
from vljepa_edge.export.pytorch.y_decoder import y_decoder_graph
from vljepa_edge.nn.config import VLJepaConfig
from vljepa_edge.nn.config_json import to_dict
from vljepa_edge.nn.vljepa import VLJepa

_BETWEEN = "<|endoftext|>"  # GPT-2's, SmolLM2's and Qwen's one token between texts
STARTS = ("<start>", "<|begin_of_text|>", "<s>", "<bos>", "[CLS]", _BETWEEN)
ENDS = ("<end>", "<|end_of_text|>", "</s>", "<eos>", "[SEP]", _BETWEEN)


@dataclass(frozen=True)
class Tokenizers:
    """The three tokenizers of a bundle, in the format of Hugging Face tokenizers."""

    query: Tokenizer
    target: Tokenizer
    decoder: Tokenizer


@dataclass(frozen=True)
class Licences:
    """Under what terms a bundle is. notice: the text of its NOTICE. parts: each with its licence and source."""

    licence: str
    notice: str
    parts: tuple[Mapping[str, str], ...]

    @classmethod
    def of_sources(cls, config: VLJepaConfig) -> Licences:
        """Where nothing is known of the parts but where they come from."""
        sources = {} if config.x_encoder is None else {"X-encoder": config.x_encoder.source}
        sources["Y-encoder"] = config.y_encoder.source
        if config.language_model is not None:
            sources["predictor, query embedding"] = config.language_model.source
        notice = "Weights in this bundle come from, or were trained from, and are under the licences of:\n"
        return cls(
            "see NOTICE", notice + "".join(f"* {source}\n" for source in sources.values()),
            tuple({"part": part, "licence": "that of its source", "source": s} for part, s in sources.items()),
        )  # fmt: skip


@dataclass(frozen=True)
class About:
    """What a bundle says of itself beside its config. licences: None for those of its sources. provenance, figures:
    free JSON. card: the model card in Markdown; empty: without one."""

    name: str
    licences: Licences | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""


def write_checkpoint(
    model: VLJepa,
    tokenizers: Tokenizers,
    out: Path,
    about: About,
    on_step: OnStep,
    *,
    bits: int = 16,
    window: int | None = None,
    fps: float = 4.0,
) -> Path:
    """Write the bundle at `out`, a folder or a .vljepa file, weights at `bits` (32 or 16).

    window: frames of a clip; None: the model's own, or 16. The text graph of a model with the default's X-encoder has
    8 bits where `bits` is 16.

    Raises ExportError when the model lacks an X-encoder or a Y-decoder, when its predictor is causal, when the window
    doesn't fit, when a graph is too large for one file, or when a tokenizer says no start or end token.
    """
    if model.x_encoder is None or model.y_decoder is None:
        lacks = "X-encoder" if model.x_encoder is None else "Y-decoder"
        raise ExportError(f"{about.name} has no {lacks}; a bundle needs X-encoder, predictor, Y-encoder and Y-decoder")
    if model.config.predictor.causal:
        raise ExportError(f"{about.name} has a causal predictor, which is for comparison alone; causal must be false")
    model.eval()
    seen = vision_graphs(model.x_encoder, model.predictor, window)
    graphs = {
        **seen.graphs,
        **text_graphs(model),
        "graphs/predictor.onnx": _predictor(model, seen.streams),
        "graphs/y_decoder.onnx": y_decoder_graph(model.y_decoder),
    }
    licences = about.licences or Licences.of_sources(model.config)
    manifest = _manifest(model, tokenizers, seen, fps) | {
        "name": about.name,
        "version": version("vljepa-edge"),
        "licence": licences.licence,
        "licences": list(licences.parts),
        "provenance": {"config": to_dict(model.config), **about.provenance},
        "figures": dict(about.figures),
    }
    manifest["graphs"] = {r: {"file": file, **e} for file, graph in graphs.items() for r, e in graph.roles.items()}
    files: dict[str, bytes | Path] = {
        f"tokenizers/{name}.json": getattr(tokenizers, name).to_str().encode()
        for name in ("query", "target", "decoder")
    }
    files["NOTICE"] = licences.notice.encode()
    if about.card:
        files[CARD] = about.card.encode()
    with TemporaryDirectory(prefix=".vljepa-export-", dir=_existing(out)) as folder:
        for file, graph in told(list(graphs.items()), "exporting graphs", on_step):
            path = Path(folder) / Path(file).name
            graph.write(path, bits)
            files[file] = path
        return write_bundle(out, manifest, files)


class _Predict(nn.Module):
    """The predictor with its streams one by one, as a graph has its inputs."""

    def __init__(self, model: VLJepa) -> None:
        super().__init__()
        self.predictor = model.predictor
        self.names = list(model.predictor.streams)

    def forward(self, *given: Tensor) -> Tensor:
        *streams, query_tokens, query_mask = given
        found: Tensor = self.predictor(dict(zip(self.names, streams, strict=True)), query_tokens, query_mask)
        return found


def _predictor(model: VLJepa, streams: Mapping[str, Tensor]) -> Graph:
    config = model.config.predictor
    given = {name: streams[name] for name in model.predictor.streams}
    query = {"query_tokens": torch.zeros(1, 5, config.query_dim), "query_mask": torch.ones(1, 5, dtype=torch.long)}
    inputs = [features(name, sample) for name, sample in given.items()]
    inputs += [tensor("query_tokens", "float32", 1, -1, config.query_dim), tensor("query_mask", "int64", 1, -1)]
    entry = role("clip", inputs, [tensor("embedding", "float32", 1, config.embedding)])
    axes = {"query_tokens": {1: "tokens"}, "query_mask": {1: "tokens"}}
    return Graph(_Predict(model), {**given, **query}, ("embedding",), {"predictor": entry}, axes)


def _manifest(model: VLJepa, tokenizers: Tokenizers, seen: Seen, fps: float) -> dict[str, Any]:
    """What the config says."""
    config = model.config
    decoder, language = config.y_decoder, config.language_model
    assert decoder is not None  # write_checkpoint has looked
    prompts = {name: text for name, text in asdict(config.prompts).items() if text is not None}
    default_query = prompts.pop("default_query")
    return {
        "video": {
            "width": seen.size, "height": seen.size, "resize": config.resize, "fps": fps, "window": seen.window,
            "hop": 1,
        },
        "text": {
            "query_tokenizer": "tokenizers/query.json", "target_tokenizer": "tokenizers/target.json",
            "decoder_tokenizer": "tokenizers/decoder.json",
            "query_tokens": config.y_encoder.max_tokens if language is None else language.max_tokens,
            "target_tokens": config.y_encoder.max_tokens,
            "decoder_tokens": decoder.max_tokens, "decoder_prefix": decoder.prefix,
            "decoder_start": special_token(tokenizers.decoder, STARTS),
            "decoder_end": special_token(tokenizers.decoder, ENDS),
            "default_query": default_query, "empty_query": "none", "target_prompt": config.y_encoder.prompt,
        },
        "embedding": {"width": config.predictor.embedding},
        "prompts": {**prompts, "scale": round(float(model.scale().detach()), 2)},
    }  # fmt: skip


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
