"""A name for weights, by which what they compute can be kept on disk."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def digest_of(module: nn.Module, *settings: object) -> str:
    """Of all parameters and buffers of a module, and of settings that its results depend on, by their repr."""
    digest = hashlib.sha256(repr((type(module).__name__, *settings)).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
