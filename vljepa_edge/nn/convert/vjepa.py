"""Meta's V-JEPA 2 and V-JEPA 2.1 files (facebookresearch/vjepa2) -> our layout of an X-encoder.

A file holds several encoders: the one that gradients trained, and its moving average, which is the one to use. Of a
distilled model (V-JEPA 2.1 B and L) the average is `ema_encoder`, and `target_encoder` would be its teacher. Meta's own
loader (`src/hub/backbones.py`) took `encoder` when V-JEPA 2 came out and takes `target_encoder` now. transformers'
repositories on the hub were made with the earlier one, so a converted file may differ from them in its numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vljepa_edge.errors import BundleError, InputError
from vljepa_edge.nn.convert.taken import LeftOut, OnStep, Source, check_names, convert, left_out, same
from vljepa_edge.nn.convert.torch_file import holds_tensors, tensors_of
from vljepa_edge.nn.x_encoder import XEncoder, rotary_order
from vljepa_edge.nn.x_encoder_config import VIT_SIZES, XEncoderConfig

ENCODERS = ("ema_encoder", "target_encoder", "encoder")
"""Keys of a file, the first that is there being the one to take."""
_PARTS = {
    "ema_encoder": "the moving average of encoder",
    "target_encoder": "the moving average of encoder, or the teacher of a distilled model",
    "encoder": "what gradients trained",
    "predictor": "predicts masked patches in V-JEPA's own training",
    "opt": "the optimiser's state",
    "scaler": "the gradient scaler's state",
}
_IN_ENCODER = {"pos_embed": "fixed sine positions, which rotary positions replace"}
_LAYER = {"norm1": "norm1", "out": "attn.proj", "norm2": "norm2", "up": "mlp.fc1", "down": "mlp.fc2"}


def is_vjepa(data: Mapping[str, Any]) -> bool:
    """Whether a file's keys are those of V-JEPA 2 or 2.1."""
    return any(isinstance(data.get(key), Mapping) for key in ENCODERS)


def is_vjepa2_1(data: Mapping[str, Any]) -> bool:
    """Whether it is V-JEPA 2.1, which has norms at four depths."""
    return any(
        isinstance(data.get(key), Mapping) and any("norms_block." in str(n) for n in data[key]) for key in ENCODERS
    )


def convert_vjepa(
    path: Path,
    data: Mapping[str, Any],
    on_step: OnStep,
    *,
    version: str,
    encoder: str | None = None,
    heads: int | None = None,
    size: int | None = None,
    outputs: str = "last",
) -> tuple[XEncoderConfig, dict[str, Tensor], list[LeftOut]]:
    """The config and weights of the encoder in a file, and what of the file is left out.

    version: "2" or "2.1". encoder: which of ENCODERS to take; None: the first that is there. heads: of the attention;
    needed for sizes that were not released, since the file does not say. size: pixels a side, which rotary positions
    leave free; None: 384 for V-JEPA 2.1 and where the file's name has 384, else 256. outputs: as of XEncoderConfig.

    Raises BundleError when a tensor is missing, unknown or of another size, InputError for a wrong option.
    """
    there = [key for key in ENCODERS if isinstance(data.get(key), Mapping)]
    key = there[0] if encoder is None else encoder
    if key not in there:
        raise InputError(f"{path} has no {key!r}; the encoders in it are {', '.join(there)}")
    state = _clean(path, key, tensors_of(path, key, data[key]))
    if size is None:
        size = 384 if version == "2.1" or "384" in path.stem else 256
    config = _config(path, key, state, version, heads, size)
    config = replace(config, source=str(path), outputs=outputs)
    sources = weight_sources(config)
    check_names(path, key, state, (name for source in sources.values() for name in source.names), _IN_ENCODER)
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in XEncoder(config).state_dict().items()}
    made = convert(path, state, sources, shapes, on_step)
    return config, made, [*_other_parts(path, data, key), *left_out(state, _IN_ENCODER)]


def weight_sources(config: XEncoderConfig) -> dict[str, Source]:
    """Our name -> Meta's, for every weight of an encoder of this config."""
    order = _qkv_order(config)
    found: dict[str, Source] = {}
    for kind in ("weight", "bias"):
        found[f"patches.{kind}"] = Source((f"patch_embed.proj.{kind}",), _flat)
        last = f"norms_block.{len(config.norm_depths) - 1}" if config.norm_depths else "norm"
        found[f"norm.{kind}"] = Source((f"{last}.{kind}",), same)
        for i, depth in enumerate(config.norm_depths[:-1]):
            found[f"inner_norms.{depth}.{kind}"] = Source((f"norms_block.{i}.{kind}",), same)
        if config.image_patches:
            found[f"image_patches.{kind}"] = Source((f"patch_embed_img.proj.{kind}",), _flat)
        for i in range(config.layers):
            found[f"layers.{i}.qkv.{kind}"] = Source((f"blocks.{i}.attn.qkv.{kind}",), lambda rows: rows[order])
            for ours, theirs in _LAYER.items():
                found[f"layers.{i}.{ours}.{kind}"] = Source((f"blocks.{i}.{theirs}.{kind}",), same)
    if config.modality:
        found["image_modality"] = Source(("img_mod_embed",), Tensor.flatten)
        found["video_modality"] = Source(("video_mod_embed",), Tensor.flatten)
    return found


def _flat(tensor: Tensor) -> Tensor:
    """A convolution's weight (D, 3, frames, patch, patch) as a Linear's."""
    return tensor.flatten(1) if tensor.ndim > 1 else tensor


def _qkv_order(config: XEncoderConfig) -> Tensor:
    """Rows of the fused QKV, the channels of each query and key head in rotary order."""
    head_size = config.hidden // config.heads
    rows = (torch.arange(config.heads)[:, None] * head_size + rotary_order(head_size)).flatten()
    return torch.cat((rows, rows + config.hidden, torch.arange(2 * config.hidden, 3 * config.hidden)))


def _clean(path: Path, key: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without the wrappers that training put around the encoder."""
    clean = {re.sub(r"^(?:module\.|backbone\.)+", "", name): tensor for name, tensor in state.items()}
    if len(clean) != len(state):
        raise BundleError(path, f"{key} has a name twice, with and without 'module.' or 'backbone.' before it")
    return clean


def _config(
    path: Path, key: str, state: Mapping[str, Tensor], version: str, heads: int | None, size: int
) -> XEncoderConfig:
    """Sizes as the tensors have them."""
    numbers = {int(found[1]) for name in state if (found := re.match(r"blocks\.(\d+)\.", name))}
    kernel, up = state.get("patch_embed.proj.weight"), state.get("blocks.0.mlp.fc1.weight")
    if kernel is None or up is None or kernel.ndim != 5 or up.ndim != 2:
        raise BundleError(path, f"{key} has no patch_embed.proj.weight of five axes, or no blocks.0.mlp.fc1.weight")
    if numbers != set(range(len(numbers))):
        raise BundleError(path, f"{key} has {len(numbers)} blocks numbered up to {max(numbers)}; some are missing")
    hidden, layers, ffn = int(kernel.shape[0]), len(numbers), int(up.shape[0])
    if heads is None:
        released = {(sizes[0], sizes[1], sizes[3]): sizes[2] for sizes in VIT_SIZES.values()}
        heads = released.get((hidden, layers, ffn))
        if heads is None:
            raise InputError(
                f"{path} has {layers} layers of {hidden} channels with {ffn} in the MLP, which is none of the released "
                f"sizes ({', '.join(VIT_SIZES)}); say how many heads it has with --heads"
            )
    plain = XEncoderConfig(
        "", hidden, layers, heads, ffn, size, patch=int(kernel.shape[-1]), tubelet=int(kernel.shape[2])
    )
    return plain.as_vjepa2_1() if version == "2.1" else plain


def _other_parts(path: Path, data: Mapping[str, Any], taken: str) -> list[LeftOut]:
    found = []
    for key, value in data.items():
        if key == taken:
            continue
        count = len(value) if isinstance(value, Mapping) else int(isinstance(value, Tensor))
        if key in _PARTS:
            found.append(LeftOut(key, count, _PARTS[key]))
        elif holds_tensors(value):
            raise BundleError(path, f"has tensors under {key!r}; known are {', '.join(_PARTS)}")
        else:
            found.append(LeftOut(key, 0, "a number or text of its training"))
    return found
