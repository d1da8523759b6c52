"""The other way to get text from a stream: a vision-language model that writes tokens, asked at every hop.

It sees what the predictor sees (the same features, the same query) and has the Y-decoder's layers and vocabulary,
random weights. It is no straw man: prompt and steps are two graphs on OpenVINO with a key-value cache, so a token costs
one position, not the complete prompt again.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.bench import Arrays
from vljepa_edge.engines import Engine, Graph
from vljepa_edge.export.pytorch.trace import export_module
from vljepa_edge.kernels.ops.bidirectional_attention import MASKED, attend
from vljepa_edge.nn.config import YDecoderConfig
from vljepa_edge.nn.llama import LlamaLayer, LlamaStack
from vljepa_edge.nn.y_decoder import YDecoder

TUBELET = 4
_CACHES = ("keys", "values")


def run_layers(
    stack: LlamaStack, x: Tensor, first: Tensor | int, keys: Tensor | None, values: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Causal layers on x (1, N, hidden) whose positions begin at `first`, after cached keys and values.

    Caches are (layers, heads, length, head size); returned with the new positions added.
    """
    count = x.shape[1]
    places = first + torch.arange(count)
    cos, sin = stack.cos[places], stack.sin[places]  # type: ignore[index]
    bias = None
    if count > 1:
        order = torch.arange(count)
        bias = (order[None, :] > order[:, None]).to(x.dtype) * MASKED
    kept: list[tuple[Tensor, Tensor]] = []
    for i, layer in enumerate(stack.layers):
        past = None if keys is None or values is None else (keys[i : i + 1], values[i : i + 1])
        x, key, value = _layer(layer, x, cos, sin, bias, past)  # type: ignore[arg-type]
        kept.append((key, value))
    return stack.norm(x), torch.cat([key for key, _ in kept]), torch.cat([value for _, value in kept])


def _layer(
    layer: LlamaLayer, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor | None, past: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor, Tensor]:
    count, size = x.shape[1], layer.head_size
    qkv = layer.qkv(layer.attention_norm(x)).reshape(1, count, -1, size).transpose(1, 2)
    qk, value = qkv.split((2 * layer.heads, layer.heads), dim=1)
    left, right = qk.split(size // 2, dim=-1)
    query, key = (qk * cos + torch.cat((-right, left), dim=-1) * sin).split(layer.heads, dim=1)
    if past is not None:
        key, value = torch.cat((past[0], key), dim=2), torch.cat((past[1], value), dim=2)
    x = x + layer.out(attend(query, key, value, bias).transpose(1, 2).reshape(1, count, -1))
    return x + layer.down(layer.gate_up(layer.ffn_norm(x))), key, value


class _Prompt(nn.Module):
    """Vision features and query tokens to the logits of the first token and the caches."""

    def __init__(self, decoder: YDecoder, inputs: Arrays) -> None:
        super().__init__()
        self.decoder = decoder
        hidden = decoder.config.hidden
        widths = {name: inputs[name].shape[-1] for name in ("appearance", "motion", "query_tokens")}
        self.project = nn.ModuleDict({name: nn.Linear(width, hidden) for name, width in widths.items()})

    def forward(self, appearance: Tensor, motion: Tensor, query_tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        regions = appearance.reshape(1, -1, TUBELET, *appearance.shape[2:]).mean(2).flatten(1, 2)
        given = {"appearance": regions, "motion": motion, "query_tokens": query_tokens}
        tokens = torch.cat([module(given[name]) for name, module in self.project.items()], dim=1)
        states, keys, values = run_layers(self.decoder.stack, tokens, 0, None, None)
        return F.linear(states[:, -1], self.decoder.tokens.weight), keys, values


class _Step(nn.Module):
    """One token after the caches: logits of the next, caches one longer."""

    def __init__(self, decoder: YDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, token: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        states, keys, values = run_layers(self.decoder.stack, self.decoder.tokens(token), keys.shape[2], keys, values)
        return F.linear(states[:, -1], self.decoder.tokens.weight), keys, values


class TokenModel:
    """Two graphs on an engine. `inputs`: the predictor's, for their shapes. It can write `config.max_tokens` tokens."""

    def __init__(self, engine: Engine, config: YDecoderConfig, inputs: Arrays) -> None:
        torch.manual_seed(0)
        prompt_tokens = (
            inputs["appearance"].shape[1] // TUBELET * inputs["appearance"].shape[2]
            + inputs["motion"].shape[1]
            + inputs["query_tokens"].shape[1]
        )
        decoder = YDecoder(replace(config, prefix=prompt_tokens)).eval()
        self._names = ("appearance", "motion", "query_tokens")
        prompt = _Prompt(decoder, inputs).eval()
        given = {name: torch.from_numpy(inputs[name]) for name in self._names}
        with torch.inference_mode():
            _, keys, values = prompt(*given.values())
        long = {name: {2: "length"} for name in _CACHES}
        outputs = ("logits", *(f"all_{name}" for name in _CACHES))
        step_inputs = {"token": torch.zeros(1, 1, dtype=torch.long), "keys": keys.clone(), "values": values.clone()}
        self._prompt: Graph = engine.compile(export_module(prompt, given, outputs), "prompt")
        self._step: Graph = engine.compile(export_module(_Step(decoder), step_inputs, outputs, long), "step")

    def write(self, features: Arrays, tokens: int) -> list[int]:
        """The first `tokens` tokens, greedy."""
        found = self._prompt({name: features[name] for name in self._names})
        ids = [int(found["logits"][0].argmax())]
        while len(ids) < tokens:
            caches: dict[str, NDArray[np.float32]] = {name: found[f"all_{name}"] for name in _CACHES}
            found = self._step({"token": np.array([[ids[-1]]], np.int64), **caches})
            ids.append(int(found["logits"][0].argmax()))
        return ids
