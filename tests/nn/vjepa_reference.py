"""V-JEPA 2 and 2.1 encoders in Meta's layout: random weights, and what the published definition makes of them.

Written from the definition in facebookresearch/vjepa2 (src/models, app/vjepa_2_1/models), in float64: convolutions for
patches, a complex number for each rotated pair where the angles repeat, attention as a plain softmax.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vljepa_edge.nn.x_encoder import MEAN, STD
from vljepa_edge.nn.x_encoder_config import XEncoderConfig


def vjepa2(hidden: int = 48, heads: int = 2, layers: int = 2, size: int = 48) -> XEncoderConfig:
    """A small V-JEPA 2."""
    return XEncoderConfig("local", hidden, layers, heads, 4 * hidden, size)


def vjepa2_1(
    hidden: int = 48, heads: int = 2, layers: int = 5, size: int = 64, outputs: str = "last"
) -> XEncoderConfig:
    """A small V-JEPA 2.1, its norms after layers 0, 1, 3 and the last."""
    return XEncoderConfig(
        "local", hidden, layers, heads, 4 * hidden, size, rope="repeated", rope_grid=16, image_patches=True,
        modality=True, norm_depths=(0, 1, 3, layers - 1), outputs=outputs,
    )  # fmt: skip


def meta_state(config: XEncoderConfig, seed: int = 0) -> dict[str, Tensor]:
    """Weights under Meta's names, large enough that attention and position matter."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int, std: float = 0.15, mean: float = 0.0) -> Tensor:
        return torch.randn(shape, generator=draw) * std + mean

    def linear(name: str, width: int, out: int) -> dict[str, Tensor]:
        return {f"{name}.weight": normal(out, width), f"{name}.bias": normal(out, std=0.2)}

    def norm(name: str) -> dict[str, Tensor]:
        return {f"{name}.weight": normal(hidden, std=0.2, mean=1.0), f"{name}.bias": normal(hidden, std=0.2)}

    hidden, patch = config.hidden, config.patch
    state = {
        "patch_embed.proj.weight": normal(hidden, 3, config.tubelet, patch, patch, std=0.03),
        "patch_embed.proj.bias": normal(hidden),
    }
    if config.image_patches:
        state["patch_embed_img.proj.weight"] = normal(hidden, 3, 1, patch, patch, std=0.03)
        state["patch_embed_img.proj.bias"] = normal(hidden)
    if config.modality:
        state["img_mod_embed"], state["video_mod_embed"] = normal(1, 1, hidden, std=1.0), normal(1, 1, hidden, std=1.0)
    for i in range(config.layers):
        block = f"blocks.{i}"
        state |= norm(f"{block}.norm1") | linear(f"{block}.attn.qkv", hidden, 3 * hidden)
        state |= linear(f"{block}.attn.proj", hidden, hidden) | norm(f"{block}.norm2")
        state |= linear(f"{block}.mlp.fc1", hidden, config.ffn) | linear(f"{block}.mlp.fc2", config.ffn, hidden)
    for name in [f"norms_block.{i}" for i in range(len(config.norm_depths))] or ["norm"]:
        state |= norm(name)
    return state


@torch.no_grad()
def features(state: dict[str, Tensor], config: XEncoderConfig, video: Tensor) -> Tensor:
    """What an encoder with these weights makes of uint8 (B, T, H, W, 3), in float64."""
    w = {name: tensor.double() for name, tensor in state.items()}
    pixels = (video.double() / 255 - torch.tensor(MEAN).double()) / torch.tensor(STD).double()
    pixels = pixels.permute(0, 4, 1, 2, 3)
    image = config.image_patches and video.shape[1] == 1
    if video.shape[1] == 1 and not image:
        pixels = pixels.repeat(1, 1, config.tubelet, 1, 1)
    name = "patch_embed_img" if image else "patch_embed"
    kernel = w[f"{name}.proj.weight"]
    x = F.conv3d(pixels, kernel, w[f"{name}.proj.bias"], stride=kernel.shape[2:])
    steps, grid = x.shape[2], x.shape[3]
    x = x.flatten(2).transpose(1, 2)
    if config.modality:
        x = x + (w["img_mod_embed"] if image else w["video_mod_embed"])[0]
    found = []
    for i in range(config.layers):
        block = f"blocks.{i}"
        normed = F.layer_norm(x, (config.hidden,), w[f"{block}.norm1.weight"], w[f"{block}.norm1.bias"], 1e-6)
        qkv = F.linear(normed, w[f"{block}.attn.qkv.weight"], w[f"{block}.attn.qkv.bias"])
        q, k, v = qkv.unflatten(-1, (3, config.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = _rotated(q, steps, grid, config), _rotated(k, steps, grid, config)
        seen = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1) @ v
        x = x + F.linear(seen.transpose(1, 2).flatten(2), w[f"{block}.attn.proj.weight"], w[f"{block}.attn.proj.bias"])
        normed = F.layer_norm(x, (config.hidden,), w[f"{block}.norm2.weight"], w[f"{block}.norm2.bias"], 1e-6)
        inner = F.gelu(F.linear(normed, w[f"{block}.mlp.fc1.weight"], w[f"{block}.mlp.fc1.bias"]))
        x = x + F.linear(inner, w[f"{block}.mlp.fc2.weight"], w[f"{block}.mlp.fc2.bias"])
        if i in config.norm_depths:
            name = f"norms_block.{config.norm_depths.index(i)}"
            found.append(F.layer_norm(x, (config.hidden,), w[f"{name}.weight"], w[f"{name}.bias"], 1e-6))
    if config.outputs == "all":
        return torch.cat(found, -1)
    return found[-1] if found else F.layer_norm(x, (config.hidden,), w["norm.weight"], w["norm.bias"], 1e-6)


def _rotated(x: Tensor, steps: int, grid: int, config: XEncoderConfig) -> Tensor:
    """x (B, heads, N, head size): a share of its channels by time, by row and by column."""
    share = 2 * (x.shape[-1] // 3 // 2)
    scale = 1.0 if config.rope_grid is None else (config.rope_grid - 1) / (grid - 1)
    places = torch.cartesian_prod(torch.arange(steps), torch.arange(grid), torch.arange(grid)).double()
    places[:, 1:] *= scale
    rates = 10000.0 ** -(torch.arange(share // 2).double() * 2 / share)
    parts = []
    for axis in range(3):
        part = x[..., axis * share : (axis + 1) * share]
        angles = places[:, axis, None] * rates
        if config.rope == "repeated":
            pairs = torch.view_as_complex(part.unflatten(-1, (-1, 2)).contiguous())
            parts.append(torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2))
            continue
        even, odd = part[..., ::2], part[..., 1::2]
        cos, sin = (f(angles).repeat(1, 2) for f in (torch.cos, torch.sin))
        turned = (even * cos[:, ::2] - odd * sin[:, ::2], odd * cos[:, 1::2] + even * sin[:, 1::2])
        parts.append(torch.stack(turned, -1).flatten(-2))
    return torch.cat((*parts, x[..., 3 * share :]), -1)
