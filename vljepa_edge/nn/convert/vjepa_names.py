"""Meta's names for a V-JEPA 2 or V-JEPA 2.1 encoder's weights -> `XEncoder`'s (facebookresearch/vjepa2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from vljepa_edge.nn.config import XEncoderConfig
from vljepa_edge.nn.x_encoder import rotary_order

_LAYER = {"norm1": "norm1", "out": "attn.proj", "norm2": "norm2", "up": "mlp.fc1", "down": "mlp.fc2"}


class Renamed(NamedTuple):
    """Where one of our weights comes from, and what is done to it."""

    theirs: str
    change: Callable[[Tensor], Tensor] = lambda tensor: tensor


def renamed(config: XEncoderConfig) -> dict[str, Renamed]:
    """Our name -> Meta's, for every weight of an encoder of this config."""
    order = _qkv_order(config)
    found: dict[str, Renamed] = {}
    last = len(config.norm_depths) - 1
    for kind in ("weight", "bias"):
        found[f"patches.{kind}"] = Renamed(f"patch_embed.proj.{kind}", _flat)
        found[f"norm.{kind}"] = Renamed(f"norms_block.{last}.{kind}" if config.norm_depths else f"norm.{kind}")
        for i, depth in enumerate(config.norm_depths[:-1]):
            found[f"inner_norms.{depth}.{kind}"] = Renamed(f"norms_block.{i}.{kind}")
        if config.image_patches:
            found[f"image_patches.{kind}"] = Renamed(f"patch_embed_img.proj.{kind}", _flat)
        for i in range(config.layers):
            found[f"layers.{i}.qkv.{kind}"] = Renamed(f"blocks.{i}.attn.qkv.{kind}", lambda tensor: tensor[order])
            for ours, theirs in _LAYER.items():
                found[f"layers.{i}.{ours}.{kind}"] = Renamed(f"blocks.{i}.{theirs}.{kind}")
    if config.modality:
        found["image_modality"] = Renamed("img_mod_embed", Tensor.flatten)
        found["video_modality"] = Renamed("video_mod_embed", Tensor.flatten)
    return found


def _flat(tensor: Tensor) -> Tensor:
    """A convolution's weight (D, 3, frames, patch, patch) as a Linear's."""
    return tensor.flatten(1) if tensor.ndim > 1 else tensor


def _qkv_order(config: XEncoderConfig) -> Tensor:
    """Rows of the fused QKV, the channels of each query and key head in rotary order."""
    head_size = config.hidden // config.heads
    head = torch.arange(config.heads)[:, None] * head_size + rotary_order(head_size)
    rows = head.flatten()
    return torch.cat((rows, rows + config.hidden, torch.arange(2 * config.hidden, 3 * config.hidden)))
