"""open-vljepa's `best.pt` (dion-jy/open-vljepa) -> a VLJepa checkpoint without an X-encoder's weights and a Y-decoder.

Its architecture is the paper's and ours, so the numbers are the same: token embeddings of the query go to the layers as
they are (our query projection becomes the identity), no causal mask, mean over tokens, a linear head on either side.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vljepa_edge.errors import BundleError, InputError
from vljepa_edge.nn.config import (
    LanguageModelConfig,
    LlamaStackConfig,
    PredictorConfig,
    StreamConfig,
    VLJepaConfig,
    YEncoderConfig,
)
from vljepa_edge.nn.convert.taken import LeftOut, OnStep, Source, check_names, convert, left_out, same
from vljepa_edge.nn.convert.torch_file import holds_tensors, tensors_of
from vljepa_edge.nn.llama import stack_config
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.weights import guarded, x_encoder_config
from vljepa_edge.nn.y_encoder import architecture_of

_LEFT_OUT = {
    "x_encoder.model.*": "the frozen X-encoder; its source has it",
    "*.rotary_emb.*": "rotary frequencies, which follow from the config",
}
_LAYER = {
    "attention_norm": "input_layernorm", "out": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "down": "mlp.down_proj",
}  # fmt: skip
_BACKBONE = "y_encoder.backbone."
_LLAMA = {"meta-llama/Llama-3.2-1B": VLJepaConfig.paper().predictor.stack}
"""Stacks of gated language models, whose configs can't be read without an account."""


@dataclass(frozen=True)
class Sources:
    """Hub ids or folders to use instead of those that the file names."""

    x_encoder: str | None = None
    language_model: str | None = None
    y_encoder: str | None = None


def is_open_vljepa(data: Mapping[str, Any]) -> bool:
    """Whether a file's keys are those of an open-vljepa checkpoint."""
    state = data.get("model_state_dict")
    return isinstance(state, Mapping) and any(str(name).startswith("predictor.vis_proj.") for name in state)


def convert_open_vljepa(
    path: Path, data: Mapping[str, Any], on_step: OnStep, instead: Sources
) -> tuple[VLJepaConfig, dict[str, Tensor], list[LeftOut]]:
    """The config and weights of the model, and what of the file is left out.

    The configs of the X-encoder, the language model and the Y-encoder come from their sources; their weights don't.
    Raises BundleError when a source can't be read, and when a tensor is missing, unknown or not as the configs say.
    """
    state = tensors_of(path, "model_state_dict", data["model_state_dict"])
    said = _Said(path, data.get("config"))
    if said.value("predictor", "disable_causal_mask", True) is not True:
        raise BundleError(path, "its predictor has a causal mask; ours sees both ways, as the paper's does")
    config = _config(path, said, state, instead)
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in VLJepa(config).state_dict().items()}
    sources = _sources(config, [name for name in shapes if name.startswith(_BACKBONE)])
    wanted = {name for source in sources.values() for name in source.names}
    check_names(path, "model_state_dict", state, wanted, _LEFT_OUT)
    made = convert(path, state, sources, shapes, on_step)
    hidden = config.predictor.stack.hidden
    scale = 1 / float(said.value("training", "temperature", 0.07))
    made |= {
        "predictor.query.weight": torch.eye(hidden),
        "predictor.query.bias": torch.zeros(hidden),
        "log_scale": torch.full((1,), math.log(scale)),
    }
    return config, made, [*left_out(state, _LEFT_OUT), *_other_parts(path, data)]


class _Said:
    """The config that the file carries: a dict of dicts, as its YAML was."""

    def __init__(self, path: Path, config: object) -> None:
        self._path, self._config = path, config

    def value(self, part: str, key: str, default: Any = None) -> Any:
        """Raises BundleError where there is neither a value nor a default."""
        section = self._config.get(part) if isinstance(self._config, Mapping) else None
        found = section.get(key) if isinstance(section, Mapping) else None
        if found is None and default is None:
            raise BundleError(self._path, f"its config lacks {part}.{key}")
        return default if found is None else found

    def expect(self, part: str, key: str, found: int, what: str) -> None:
        """Raises BundleError where the config says another number than the weights have."""
        said = self.value(part, key)
        if said != found:
            raise BundleError(self._path, f"its config says {part}.{key} = {said!r}, but {what} {found}")


def _config(path: Path, said: _Said, state: Mapping[str, Tensor], instead: Sources) -> VLJepaConfig:
    llama = instead.language_model or str(said.value("predictor", "llama_name"))
    text = instead.y_encoder or str(said.value("y_encoder", "model_name"))
    vision = instead.x_encoder or str(said.value("encoder", "model_name"))
    numbers = {int(found[1]) for name in state if (found := re.match(r"predictor\.layers\.(\d+)\.", name))}
    layers = len(numbers)
    said.expect("predictor", "n_keep_layers", layers, "the file has layers")
    vocab, hidden = _size(path, state, "predictor.embed_tokens.weight")
    embedding, _ = _size(path, state, "predictor.out_proj.weight")
    for part, what in (("predictor", "predictor.out_proj gives"), ("y_encoder", "predictor.out_proj gives")):
        said.expect(part, "proj_dim", embedding, what)
    x_encoder = x_encoder_config(vision)
    stack = _stack(llama, layers)
    if stack.hidden != hidden:
        raise BundleError(path, f"its token embedding is {hidden} wide, but {llama} is {stack.hidden} wide")
    architecture = _architecture(text)
    y_encoder = YEncoderConfig(
        text,
        int(architecture["hidden_size"]),
        embedding,
        max_tokens=int(said.value("y_encoder", "max_target_len", 512)),
        architecture=architecture,
    )
    most = int(said.value("predictor", "max_query_len", 512))
    language = LanguageModelConfig(llama, f"last {layers}", vocab, hidden, max_tokens=most)
    streams = (StreamConfig("x_encoder", x_encoder.width),)
    predictor = PredictorConfig(streams, query_dim=hidden, embedding=embedding, stack=stack)
    return VLJepaConfig(predictor, y_encoder, x_encoder, language)


def _size(path: Path, state: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    tensor = state.get(name)
    if tensor is None or tensor.ndim != 2:
        raise BundleError(path, f"model_state_dict has no matrix {name}")
    return int(tensor.shape[0]), int(tensor.shape[1])


def _stack(source: str, layers: int) -> LlamaStackConfig:
    if source in _LLAMA:
        return replace(_LLAMA[source], layers=layers)
    from transformers import AutoConfig

    return stack_config(guarded(AutoConfig.from_pretrained, source), layers)


def _architecture(source: str) -> dict[str, Any]:
    from transformers import AutoConfig

    try:
        found = guarded(AutoConfig.from_pretrained, source)
    except BundleError as error:
        raise BundleError(source, f"{error}; --y-encoder names a folder that has its config.json") from error
    if not hasattr(found, "hidden_size"):
        raise InputError(f"{source} is no text encoder: its config has no hidden_size")
    return architecture_of(found)


def _sources(config: VLJepaConfig, backbone: Sequence[str]) -> dict[str, Source]:
    """Our name -> open-vljepa's, for all weights but the X-encoder's and the query projection's.

    backbone: our names of the sentence encoder's weights.
    """
    found = {
        "query_embedding.weight": Source(("predictor.embed_tokens.weight",), same),
        "predictor.stack.norm.weight": Source(("predictor.norm.weight",), same),
    }
    for kind in ("weight", "bias"):
        found[f"predictor.streams.x_encoder.project.{kind}"] = Source((f"predictor.vis_proj.{kind}",), same)
        found[f"predictor.head.{kind}"] = Source((f"predictor.out_proj.{kind}",), same)
        found[f"y_encoder.head.{kind}"] = Source((f"y_encoder.projector.{kind}",), same)
    for i in range(config.predictor.stack.layers):
        ours, theirs = f"predictor.stack.layers.{i}", f"predictor.layers.{i}"
        qkv = tuple(f"{theirs}.self_attn.{name}_proj.weight" for name in "qkv")
        found[f"{ours}.qkv.weight"] = Source(qkv, _stacked)
        found[f"{ours}.gate_up.weight"] = Source(
            (f"{theirs}.mlp.gate_proj.weight", f"{theirs}.mlp.up_proj.weight"), _stacked
        )
        for name, other in _LAYER.items():
            found[f"{ours}.{name}.weight"] = Source((f"{theirs}.{other}.weight",), same)
    return found | {name: Source((f"y_encoder.model.{name.removeprefix(_BACKBONE)}",), same) for name in backbone}


def _stacked(*tensors: Tensor) -> Tensor:
    return torch.cat(tensors)


def _other_parts(path: Path, data: Mapping[str, Any]) -> list[LeftOut]:
    found = []
    for key, value in data.items():
        if key == "optimizer_state_dict":
            found.append(LeftOut(key, 0, "the optimiser's state"))
        elif key not in ("model_state_dict", "config") and holds_tensors(value):
            raise BundleError(path, f"has tensors under {key!r}, which an open-vljepa checkpoint does not have")
    return found
