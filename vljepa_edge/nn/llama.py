"""Llama layers written lean: fused projections, rotary tables made once, bidirectional unless asked otherwise.

Takes its weights from transformers' Llama (`LlamaStack.from_hf`) and equals it to float rounding. The predictor's body
(section 3.1 of the paper: the last layers of a Llama without its causal mask) and, with `causal=True`, the Y-decoder's.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vljepa_edge.errors import InputError
from vljepa_edge.kernels.launch import takes_kernel
from vljepa_edge.kernels.ops.attention_inputs import rotate
from vljepa_edge.kernels.ops.bidirectional_attention import (
    MASKED,
    attend,
    bidirectional_attention,
    padding_lengths,
    share,
)
from vljepa_edge.kernels.ops.rms_norm import add_rms_norm, rms_norm
from vljepa_edge.kernels.ops.swiglu import swiglu
from vljepa_edge.nn.config import LlamaStackConfig, RopeScaling

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class RMSNorm(nn.Module):
    """x / rms(x) * weight over the last axis, in fp32 whatever x is: the square overflows fp16 above 256."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = rms_norm(x, self.weight, self.eps)
        return normed


class GatedLinear(nn.Linear):
    """SwiGLU of one product: silu(gate x) * (up x), (..., hidden) -> (..., ffn). weight has gate's rows, then up's."""

    def __init__(self, hidden: int, ffn: int) -> None:
        super().__init__(hidden, 2 * ffn, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = swiglu(super().forward(x))
        return gated


class LlamaLayer(nn.Module):
    """Pre-norm grouped-query attention and SwiGLU, both residual."""

    def __init__(self, config: LlamaStackConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.kv_heads = config.heads, config.kv_heads
        self.head_size = config.head_size
        self.attention_norm = RMSNorm(config.hidden, config.rms_eps)
        self.qkv = nn.Linear(config.hidden, (config.heads + 2 * config.kv_heads) * config.head_size, bias=False)
        self.out = nn.Linear(config.heads * config.head_size, config.hidden, bias=False)
        self.ffn_norm = RMSNorm(config.hidden, config.rms_eps)
        self.gate_up = GatedLinear(config.hidden, config.ffn)
        self.down = nn.Linear(config.ffn, config.hidden, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor | None, lengths: Tensor | None = None
    ) -> Tensor:
        """x (B, N, D); cos, sin (N, head size); what must not be seen as `bias`, added to the scores, (B, heads, N, N)
        or broadcast to it, or as `lengths` (B,), int32, with all padding behind."""
        return self._branches(x, bidirectional_attention(self._qkv(x), self.heads, cos, sin, lengths, bias=bias))

    def extend(self, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """As forward, for N tokens that follow P others. bias (N, P + N), or (B, 1, N, P + N).

        past: keys, then values of the P tokens, (B, 2 * kv heads, P, head size); returned with the N tokens' behind.
        """
        qk, v = torch.functional.split(self._qkv(x).transpose(1, 2), [self.heads + self.kv_heads, self.kv_heads], dim=1)
        q, k = torch.functional.split(rotate(qk, cos, sin), [self.heads, self.kv_heads], dim=1)
        present = torch.cat((past, torch.cat((k, v), dim=1)), dim=2)
        k, v = (share(t, self.heads) for t in torch.functional.split(present, self.kv_heads, dim=1))
        return self._branches(x, attend(q, k, v, bias).transpose(1, 2)), present

    def _qkv(self, x: Tensor) -> Tensor:
        """Queries, keys and values of the normed x, (B, N, heads + 2 * kv heads, head size)."""
        qkv: Tensor = self.qkv(self.attention_norm(x)).reshape(*x.shape[:2], -1, self.head_size)
        return qkv

    def _branches(self, x: Tensor, attended: Tensor) -> Tensor:
        """x with what attention, (B, N, heads, head size), and the feed-forward layer add to it."""
        branch = self.dropout(self.out(attended.reshape(*x.shape[:2], -1)))
        x, normed = add_rms_norm(x, branch, self.ffn_norm.weight, self.ffn_norm.eps)
        x = x + self.dropout(self.down(self.gate_up(normed)))
        return x


class LlamaStack(nn.Module):
    """Llama layers and the final norm on given embeddings: (B, N, hidden) -> (B, N, hidden).

    Every token sees every other unless `causal`. Position ids are 0 .. N-1 over the sequence as it stands: the paper
    does not disclose its own, and this is what the layers were trained on. Dropout acts on both residual branches.
    """

    def __init__(self, config: LlamaStackConfig, dropout: float = 0.0, causal: bool = False) -> None:
        super().__init__()
        self.config = config
        self.causal = causal
        self.layers = nn.ModuleList(LlamaLayer(config, dropout) for _ in range(config.layers))
        self.norm = RMSNorm(config.hidden, config.rms_eps)
        cos, sin = rope_tables(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for layer in self.layers:
            for linear in (m for m in layer.modules() if isinstance(m, nn.Linear)):
                nn.init.normal_(linear.weight, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (B, N, hidden); mask (B, N), true where there is a token. Masked tokens change no other token's state.

        Where the attention kernel is taken (see `vljepa_edge.kernels`) padding must be at the end, and its states mean
        nothing. Raises InputError on a wrong shape or a sequence longer than `max_positions`.
        """
        normed: Tensor = self.norm(self.body(x, mask))
        return normed

    def body(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The layers without the final norm; arguments and errors as of forward."""
        if not torch.onnx.is_in_onnx_export():
            self._check(x, mask)
        length = x.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]  # type: ignore[index]
        bias = lengths = None
        if mask is not None and takes_kernel(x) and not self.causal:
            lengths = padding_lengths(mask)
        elif mask is not None:
            bias = (1.0 - mask.to(x.dtype))[:, None, None, :] * MASKED
        if self.causal:
            position = torch.arange(length, device=x.device)
            future = (position[None, :] > position[:, None]).to(x.dtype) * MASKED
            bias = future if bias is None else bias + future
        for layer in self.layers:
            x = layer(x, cos, sin, bias, lengths)
        return x

    def extend(self, x: Tensor, past: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """States (B, N, hidden) of N tokens that follow P others, each seeing those before it, and the longer cache.

        past: (B, cache_rows, P, head size), P = 0 at the beginning; the cache returned has P + N in its place. Rows are
        the layers' in turn, each its keys, then its values. mask (B, P + N): which of all are tokens; None: all.
        Raises InputError on wrong shapes.
        """
        if not torch.onnx.is_in_onnx_export():
            self._check_past(x, past)
        seen, length = past.shape[2], x.shape[1]
        cos, sin = self.cos[seen : seen + length], self.sin[seen : seen + length]  # type: ignore[index]
        place = torch.arange(seen + length, device=x.device)
        bias = (place[None, :] > place[seen:, None]).to(x.dtype) * MASKED
        if mask is not None:
            bias = bias + (1.0 - mask.to(x.dtype))[:, None, None, :] * MASKED
        caches = []
        for layer, old in zip(self.layers, torch.functional.split(past, 2 * self.config.kv_heads, dim=1), strict=True):
            x, new = layer.extend(x, cos, sin, bias, old)  # type: ignore[operator]
            caches.append(new)
        return self.norm(x), torch.cat(caches, dim=1)

    @property
    def cache_rows(self) -> int:
        """Keys and values of every head of every layer."""
        return 2 * self.config.kv_heads * self.config.layers

    def _check(self, x: Tensor, mask: Tensor | None) -> None:
        if x.ndim != 3 or x.shape[-1] != self.config.hidden:
            raise InputError(f"tokens must be (batch, length, {self.config.hidden}), not {tuple(x.shape)}")
        if x.shape[1] > self.config.max_positions:
            raise InputError(f"{x.shape[1]} tokens are more than max_positions={self.config.max_positions}")
        if mask is not None and mask.shape != x.shape[:2]:
            raise InputError(f"mask must be {tuple(x.shape[:2])}, not {tuple(mask.shape)}")

    def _check_past(self, x: Tensor, past: Tensor) -> None:
        self._check(x, None)
        rows, size = self.cache_rows, self.config.head_size
        if past.ndim != 4 or (len(past), past.shape[1], past.shape[3]) != (len(x), rows, size):
            raise InputError(f"past must be ({len(x)}, {rows}, length, {size}), not {tuple(past.shape)}")
        if past.shape[2] + x.shape[1] > self.config.max_positions:
            total = past.shape[2] + x.shape[1]
            raise InputError(f"{total} tokens are more than max_positions={self.config.max_positions}")

    @classmethod
    def from_hf(
        cls, model: PreTrainedModel, layers: str = "all", *, max_positions: int | None = None, dropout: float = 0.0
    ) -> LlamaStack:
        """The chosen layers ("last 8", "8-16", "all") and the final norm of a transformers Llama, copied.

        Raises InputError if the model's layers are not plain Llama layers.
        """
        base: Any = getattr(model, "model", model)
        kept = layer_range(layers, len(base.layers))
        stack = cls(stack_config(base.config, len(kept), max_positions), dropout)
        state: dict[str, Tensor] = {"norm.weight": base.norm.weight}
        for i, source in enumerate(base.layers[j] for j in kept):
            attention, mlp = source.self_attn, source.mlp
            state[f"layers.{i}.attention_norm.weight"] = source.input_layernorm.weight
            state[f"layers.{i}.qkv.weight"] = torch.cat([getattr(attention, f"{n}_proj").weight for n in "qkv"])
            state[f"layers.{i}.out.weight"] = attention.o_proj.weight
            state[f"layers.{i}.ffn_norm.weight"] = source.post_attention_layernorm.weight
            state[f"layers.{i}.gate_up.weight"] = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])
            state[f"layers.{i}.down.weight"] = mlp.down_proj.weight
        stack.load_state_dict({name: tensor.detach() for name, tensor in state.items()})
        return stack


def rope_tables(config: LlamaStackConfig) -> tuple[Tensor, Tensor]:
    """cos and sin, each (max_positions, head size), fp32."""
    size = config.head_size
    frequency = 1.0 / config.rope_theta ** (torch.arange(0, size, 2, dtype=torch.float32) / size)
    if config.rope_scaling is not None:
        frequency = _llama3(frequency, config.rope_scaling)
    angle = torch.arange(config.max_positions, dtype=torch.float32)[:, None] * frequency
    angle = torch.cat((angle, angle), dim=-1)
    return angle.cos(), angle.sin()


def _llama3(frequency: Tensor, scaling: RopeScaling) -> Tensor:
    """Long wavelengths are divided by `factor`, short ones kept, those between are blended (Llama 3.1)."""
    wavelength = 2 * math.pi / frequency
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    share = ((scaling.original_max_positions / wavelength - low) / (high - low)).clamp(0.0, 1.0)
    return (1 - share) * frequency / scaling.factor + share * frequency


def layer_range(text: str, total: int) -> range:
    """Which of `total` layers a text like "last 8", "8-16" (from, up to but without) or "all" names."""
    if text == "all":
        return range(total)
    if match := re.fullmatch(r"last (\d+)", text):
        kept = range(total - int(match[1]), total)
    elif match := re.fullmatch(r"(\d+)-(\d+)", text):
        kept = range(int(match[1]), int(match[2]))
    else:
        raise InputError(f"layers must be written as 'all', 'last 8' or '8-16', got {text!r}")
    if len(kept) == 0 or kept.start < 0 or kept.stop > total:
        raise InputError(f"layers {text!r} does not fit a model of {total} layers")
    return kept


def stack_config(hf: Any, layers: int, max_positions: int | None = None) -> LlamaStackConfig:
    """The config in transformers, as ours. Raises InputError, saying why, if its layers are not plain Llama layers."""
    odd = {
        "model_type": hf.model_type not in ("llama", "mistral"),
        "attention_bias": bool(getattr(hf, "attention_bias", False)),
        "mlp_bias": bool(getattr(hf, "mlp_bias", False)),
        "hidden_act": hf.hidden_act != "silu",
        "sliding_window": getattr(hf, "sliding_window", None) is not None,
    }
    rope = dict(hf.rope_parameters)
    kind = rope.get("rope_type", "default")
    odd["rope_parameters"] = kind not in ("default", "llama3")
    for name, bad in odd.items():
        if bad:
            allowed = "llama or mistral layers without biases or a sliding window, with default or llama3 RoPE"
            raise InputError(f"{name}={getattr(hf, name)!r} is not supported; allowed are {allowed}")
    scaling = None
    if kind == "llama3":
        scaling = RopeScaling(
            factor=float(rope["factor"]),
            low_freq_factor=float(rope["low_freq_factor"]),
            high_freq_factor=float(rope["high_freq_factor"]),
            original_max_positions=int(rope["original_max_position_embeddings"]),
        )
    head_dim = getattr(hf, "head_dim", None)
    return LlamaStackConfig(
        hidden=hf.hidden_size,
        layers=layers,
        heads=hf.num_attention_heads,
        kv_heads=hf.num_key_value_heads,
        ffn=hf.intermediate_size,
        rope_theta=float(rope["rope_theta"]),
        rms_eps=float(hf.rms_norm_eps),
        head_dim=None if head_dim == hf.hidden_size // hf.num_attention_heads else head_dim,
        max_positions=max_positions or min(hf.max_position_embeddings, 8192),
        rope_scaling=scaling,
    )
