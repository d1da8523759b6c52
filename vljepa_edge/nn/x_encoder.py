"""X-encoder: the frozen V-JEPA 2 or V-JEPA 2.1 encoder, written lean.

The same numbers as transformers' VJEPA2Model to float rounding, several times faster on a CPU (fused QKV, rotary tables
made once) and exported to ONNX in seconds. The rotary embedding of V-JEPA 2 is not the textbook one: see `rope_tables`.
V-JEPA 2.1 is the same class with other options (XEncoderConfig); transformers does not have it, so its weights come
through `nn.convert`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_edge.errors import InputError
from vljepa_edge.kernels.ops.bidirectional_attention import bidirectional_attention
from vljepa_edge.kernels.ops.patchify import patchify
from vljepa_edge.nn.digest import digest_of
from vljepa_edge.nn.x_encoder_config import XEncoderConfig

if TYPE_CHECKING:
    from transformers import VJEPA2Model

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class VisionLayer(nn.Module):
    """Pre-norm attention and GELU MLP. Head channels lie in `rotary_order`, so halves are rotated, not pairs."""

    def __init__(self, config: XEncoderConfig) -> None:
        super().__init__()
        self.head_size = config.hidden // config.heads
        self.norm1 = nn.LayerNorm(config.hidden, config.norm_eps)
        self.qkv = nn.Linear(config.hidden, 3 * config.hidden)
        self.out = nn.Linear(config.hidden, config.hidden)
        self.norm2 = nn.LayerNorm(config.hidden, config.norm_eps)
        self.up = nn.Linear(config.hidden, config.ffn)
        self.down = nn.Linear(config.ffn, config.hidden)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x (B, N, D); cos, sin (N, head size)"""
        batch, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, length, -1, self.head_size)
        attended = bidirectional_attention(qkv, width // self.head_size, cos, sin)
        x = x + self.out(attended.reshape(batch, length, width))
        x = x + self.down(F.gelu(self.up(self.norm2(x))))
        return x


class XEncoder(nn.Module):
    """Frames uint8 RGB (B, T, size, size, 3) -> (B, T / tubelet * (size / patch)^2, config.width). Frozen.

    An image is one frame (T = 1), repeated to fill the tubelet; the paper repeats it "to match the input shape". With
    `image_patches` it is not repeated: it has a patch embedding of its own.
    """

    units: ClassVar[Mapping[str, str]] = {"x_encoder": "clip"}
    """What each of its outputs is made of: a `frame` or a `clip`."""
    sourced: ClassVar[str] = ""
    """How the names of the parameters begin that are always its source's."""

    def __init__(self, config: XEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.patches = nn.Linear(3 * config.tubelet * config.patch**2, config.hidden)
        self.layers = nn.ModuleList(VisionLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.hidden, config.norm_eps)
        self.inner_norms = nn.ModuleDict(
            {str(depth): nn.LayerNorm(config.hidden, config.norm_eps) for depth in config.norm_depths[:-1]}
        )
        self.image_patches = nn.Linear(3 * config.patch**2, config.hidden) if config.image_patches else None
        self.image_modality = nn.Parameter(torch.zeros(config.hidden)) if config.modality else None
        self.video_modality = nn.Parameter(torch.zeros(config.hidden)) if config.modality else None
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(MEAN) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(STD) * 255, persistent=False)
        self.requires_grad_(False)

    def forward(self, frames: Tensor) -> Tensor:
        """Raises InputError unless frames are uint8 (B, T, size, size, 3), T being 1 or a multiple of the tubelet."""
        config = self.config
        if not torch.onnx.is_in_onnx_export():
            self._check(frames)
        patches, tubelet, modality = self.patches, config.tubelet, self.video_modality
        if frames.shape[1] == 1 and self.image_patches is not None:
            patches, tubelet, modality = self.image_patches, 1, self.image_modality
        elif frames.shape[1] == 1:
            frames = frames.expand(-1, tubelet, -1, -1, -1)
        steps = int(frames.shape[1]) // tubelet  # a number even while it is traced: the tables become constants
        grid, head_size = config.size // config.patch, config.hidden // config.heads
        pixels = patchify(frames, self.mean, self.std, tubelet, config.patch, patches.weight.dtype)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.patches.weight.requires_grad):
            x = patches(pixels)
            if modality is not None:
                x = x + modality
            cos, sin = (t.to(x) for t in rope_tables(steps, grid, head_size, config.rope, config.rope_grid))
            given: list[Tensor] = []
            for depth, layer in enumerate(self.layers):
                x = layer(x, cos, sin)
                if config.outputs == "all" and str(depth) in self.inner_norms:
                    given.append(self.inner_norms[str(depth)](x))
            normed: Tensor = self.norm(x)
        return torch.cat((*given, normed), dim=-1) if given else normed

    def encode_frozen(self, frames: Tensor) -> dict[str, Tensor]:
        """What its frozen part makes of frames, by name: what training may keep. Arguments as of forward."""
        return {"x_encoder": self(frames)}

    def frozen_digest(self) -> str:
        """Names what encode_frozen computes with: a cache of its results is for this alone."""
        return digest_of(self, replace(self.config, source=""))

    def complete(self, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The predictor's streams, from what encode_frozen gave."""
        return dict(kept)

    def _check(self, frames: Tensor) -> None:
        size, tubelet = self.config.size, self.config.tubelet
        if frames.dtype != torch.uint8 or frames.ndim != 5 or tuple(frames.shape[2:]) != (size, size, 3):
            found = f"{str(frames.dtype).removeprefix('torch.')} {tuple(frames.shape)}"
            raise InputError(f"frames must be uint8 (B, T, {size}, {size}, 3), not {found}")
        if frames.shape[1] != 1 and (frames.shape[1] == 0 or frames.shape[1] % tubelet):
            raise InputError(f"{frames.shape[1]} frames: give 1 (an image) or a multiple of {tubelet}")

    @classmethod
    def from_hf(cls, model: VJEPA2Model, source: str) -> XEncoder:
        """The encoder of a transformers VJEPA2Model, copied. `source` says where its weights are."""
        config = config_from_hf(model.config, source)
        encoder = cls(config)
        encoder.load_state_dict(_converted(model.encoder.state_dict(), config))
        return encoder


def config_from_hf(hf: Any, source: str) -> XEncoderConfig:
    """The config in transformers, as ours. Raises InputError for one that has another activation or no biases."""
    if hf.hidden_act != "gelu" or not hf.qkv_bias:
        raise InputError(f"hidden_act={hf.hidden_act!r}, qkv_bias={hf.qkv_bias}: V-JEPA 2 has gelu and biases")
    return XEncoderConfig(
        source=source,
        hidden=hf.hidden_size,
        layers=hf.num_hidden_layers,
        heads=hf.num_attention_heads,
        ffn=int(hf.hidden_size * hf.mlp_ratio),
        size=hf.crop_size,
        patch=hf.patch_size,
        tubelet=hf.tubelet_size,
        norm_eps=hf.layer_norm_eps,
    )


def _converted(state: dict[str, Tensor], config: XEncoderConfig) -> dict[str, Tensor]:
    """VJEPA2Encoder's weights under our names: QKV fused, the channels of each query and key head in rotary order."""
    head_size = config.hidden // config.heads
    order = (torch.arange(config.heads)[:, None] * head_size + rotary_order(head_size)).flatten()
    names = {"norm1": "norm1", "out": "attention.proj", "norm2": "norm2", "up": "mlp.fc1", "down": "mlp.fc2"}
    new: dict[str, Tensor] = {}
    for kind in ("weight", "bias"):
        patches = state[f"embeddings.patch_embeddings.proj.{kind}"]
        new[f"patches.{kind}"] = patches.flatten(1) if kind == "weight" else patches
        new[f"norm.{kind}"] = state[f"layernorm.{kind}"]
        for i in range(config.layers):
            old = f"layer.{i}"
            q, k, v = (state[f"{old}.attention.{name}.{kind}"] for name in ("query", "key", "value"))
            new[f"layers.{i}.qkv.{kind}"] = torch.cat((q[order], k[order], v))
            for ours, theirs in names.items():
                new[f"layers.{i}.{ours}.{kind}"] = state[f"{old}.{theirs}.{kind}"]
    return new


def rotary_order(head_size: int) -> Tensor:
    """Channel pairs (2i, 2i + 1), which V-JEPA 2 rotates, to (i, i + half)."""
    return torch.cat((torch.arange(0, head_size, 2), torch.arange(1, head_size, 2)))


@lru_cache(maxsize=8)
def rope_tables(
    steps: int, grid: int, head_size: int, kind: str = "tiled", rope_grid: int | None = None
) -> tuple[Tensor, Tensor]:
    """cos and sin (steps * grid^2, head size), fp32, in rotary order.

    A third of each head turns with time, a third with the row, a third with the column; what is left over stands
    still. Channels are rotated in pairs (2i, 2i + 1). V-JEPA 2 ("tiled") tiles the angles, f0 f1 .. f0 f1 .., instead
    of repeating them, f0 f0 f1 f1 ..: the two channels of a pair turn at different rates. So the released weights were
    trained; with a textbook table their features have cosine 0.63 to the right ones. V-JEPA 2.1 ("repeated") has the
    textbook's. Its rows and columns are scaled to a grid of `rope_grid`, the one it was first trained on.
    """
    ids = torch.arange(steps * grid * grid)
    places = [ids // (grid * grid), ids // grid % grid, ids % grid]
    if rope_grid is not None:
        places[1:] = [place * (rope_grid - 1) / max(grid - 1, 1) for place in places[1:]]
    share = 2 * (head_size // 3 // 2)
    frequency = 1.0 / 10000 ** (torch.arange(share // 2, dtype=torch.float32) / (share / 2))
    angle = torch.zeros(len(ids), head_size)
    for i, place in enumerate(places):
        turned = place[:, None] * frequency
        turned = turned.repeat(1, 2) if kind == "tiled" else turned.repeat_interleave(2, dim=1)
        angle[:, i * share : (i + 1) * share] = turned
    angle = angle[:, rotary_order(head_size)]
    return angle.cos(), angle.sin()
